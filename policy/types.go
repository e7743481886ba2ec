package policy

import (
	"fmt"
	"time"
)

// APIVersion and Kind are what a policy's first two fields must say.
const (
	APIVersion = "trustomize.dev/v1alpha1"
	Kind       = "Policy"
)

// document is the file as it is written. Field names are the schema.
type document struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   Metadata `yaml:"metadata"`
	Spec       Spec     `yaml:"spec"`
}

// Metadata names the policy.
type Metadata struct {
	Name string `yaml:"name"`
}

// Spec is all that a policy says.
type Spec struct {
	Signers        map[string]Signer `yaml:"signers"`
	Revoked        []string          `yaml:"revoked"` // fingerprints of keys whose signatures never count, whichever signer they belong to
	Sources        []Rule            `yaml:"sources"`
	Enforcement    Enforcement       `yaml:"enforcement"` // of the command line, and of Applications for which nothing else is said
	Report         *Report           `yaml:"report"`
	Mirrors        []Mirror          `yaml:"mirrors"`
	Credentials    []Credential      `yaml:"credentials"`
	Limits         Limits            `yaml:"limits"`
	Allow          Allow             `yaml:"allow"`
	Sign           *Sign             `yaml:"sign"`
	ManifestSign   *ManifestSign     `yaml:"manifestSign"`
	ManifestVerify *ManifestVerify   `yaml:"manifestVerify"`
	Log            *Log              `yaml:"log"`
	Applications   []Application     `yaml:"applications"`
}

// Enforcement is what becomes of a refusal.
type Enforcement string

// The enforcements. Enforce is the default: a refusal stops the build. Audit:
// it is reported, the build goes on, and its output is not signed.
const (
	Enforce Enforcement = "enforce"
	Audit   Enforcement = "audit"
)

// UnmarshalText accepts the enforcements' names.
func (e *Enforcement) UnmarshalText(text []byte) error {
	switch v := Enforcement(text); v {
	case Enforce, Audit:
		*e = v
		return nil
	}
	return fmt.Errorf("want %q or %q, not %q", Enforce, Audit, text)
}

// Report says where each build appends what it found, one JSON object a line.
type Report struct {
	File string `yaml:"file"` // relative to the policy's folder
}

// Signer is somebody whose signature may count. Exactly one of publicKey,
// keyless, pgp and ssh is set.
type Signer struct {
	PublicKey *KeyRef  `yaml:"publicKey"`
	Keyless   *Keyless `yaml:"keyless"`
	PGP       *FileRef `yaml:"pgp"` // a key ring of public keys, armoured or binary
	SSH       *SSHRef  `yaml:"ssh"`

	TrustedRoot  *FileRef      `yaml:"trustedRoot"`  // beside publicKey: whose logs and timestamp authorities prove when a signature was made
	NotAfter     Date          `yaml:"notAfter"`     // the last day on which a signature that counts was made
	AllowExpired *AllowExpired `yaml:"allowExpired"` // beside pgp and ssh
}

// AllowExpired accepts signatures of keys that have expired since.
type AllowExpired struct {
	Before Date `yaml:"before"` // the signature claims to have been made before this day
}

// SigningKey says where a private key is. Exactly one of file, pem, kms and keyless
// is set. Files are relative to the policy's folder.
type SigningKey struct {
	File    string       `yaml:"file"` // cosign's, or PKCS #8 in PEM
	PEM     string       `yaml:"pem"`
	KMS     string       `yaml:"kms"` // URI, NAME://ID
	Keyless *KeylessSign `yaml:"keyless"`

	Password *Secret `yaml:"password"` // of a file or pem; else COSIGN_PASSWORD
}

// KeylessSign signs in the name of whoever the surroundings say that this is: an
// identity token in SIGSTORE_ID_TOKEN, in Sigstore's well-known file, in a file of
// the policy's, or from GitHub Actions. Signatures that are not this identity's are
// not used.
type KeylessSign struct {
	Issuer        string   `yaml:"issuer"`
	Subject       string   `yaml:"subject"`
	SigningConfig *FileRef `yaml:"signingConfig"` // signing_config.json: which authority, log and timestamp authority to ask
	TrustedRoot   *FileRef `yaml:"trustedRoot"`   // trusted_root.json that the result must verify with
	Token         *FileRef `yaml:"token"`         // instead of what the surroundings offer
	SCT           SCT      `yaml:"sct"`
}

// KeyRef says where a public key is. Exactly one of file and pem is set. Files are
// relative to the policy's folder.
type KeyRef struct {
	File string `yaml:"file"`
	PEM  string `yaml:"pem"`
	KMS  string `yaml:"kms"` // URI; of a signer, beside the public key, which is what signatures are verified with
}

// FileRef names a file, relative to the policy's folder.
type FileRef struct {
	File string `yaml:"file"`
}

// SSHRef is an allowed_signers file (ssh-keygen's manual).
type SSHRef struct {
	File       string   `yaml:"file"`       // relative to the policy's folder
	Principals []string `yaml:"principals"` // whose keys count; empty: everybody's in the file
}

// Keyless is an identity that a certificate authority vouches for. Regular
// expressions (Go's syntax) must match the whole text.
type Keyless struct {
	Issuer        string   `yaml:"issuer"` // of the OIDC token, a URL
	IssuerRegExp  string   `yaml:"issuerRegExp"`
	Subject       string   `yaml:"subject"` // the certificate's subject alternative name
	SubjectRegExp string   `yaml:"subjectRegExp"`
	TrustedRoot   *FileRef `yaml:"trustedRoot"` // a Sigstore trusted_root.json

	// AnyRepository lets the identity of a CI sign for other repositories than
	// the one that its certificate names.
	AnyRepository bool `yaml:"anyRepository"`

	// SCT says whether a certificate must prove that it is in a log of
	// certificates: required, which is the default, or none.
	SCT SCT `yaml:"sct"`
}

// SCT says whether signed certificate timestamps are demanded.
type SCT string

// The demands.
const (
	SCTRequired SCT = "required"
	SCTNone     SCT = "none"
)

// UnmarshalText accepts the demands' names.
func (s *SCT) UnmarshalText(text []byte) error {
	switch v := SCT(text); v {
	case SCTRequired, SCTNone:
		*s = v
		return nil
	}
	return fmt.Errorf("want %q or %q, not %q", SCTRequired, SCTNone, text)
}

// Rule says what must hold for the sources that it matches. All its fields
// must hold at once.
type Rule struct {
	Match            string      `yaml:"match"`
	SignedBy         []string    `yaml:"signedBy"`
	Threshold        int         `yaml:"threshold"`
	Bound            bool        `yaml:"bound"`
	Closure          Closure     `yaml:"closure"`
	Pinned           []Pin       `yaml:"pinned"`
	Refs             []string    `yaml:"refs"`
	Locked           bool        `yaml:"locked"`
	LockedBy         []string    `yaml:"lockedBy"`
	CommitSignedBy   []string    `yaml:"commitSignedBy"` // one of them signed the commit, or a tag of it; wants refs
	ArtifactSignedBy []string    `yaml:"artifactSignedBy"`
	Config           bool        `yaml:"config"`
	Unverified       *Unverified `yaml:"unverified"`
}

// Closure says which files of a list's scope must hold.
type Closure string

// The closures. Tree is the default: every file of the scope. Reached: every
// file that the build reads or probes for; other differences warn.
const (
	ClosureTree    Closure = "tree"
	ClosureReached Closure = "reached"
)

// UnmarshalText accepts the closures' names.
func (c *Closure) UnmarshalText(text []byte) error {
	switch v := Closure(text); v {
	case ClosureTree, ClosureReached:
		*c = v
		return nil
	}
	return fmt.Errorf("want %q or %q, not %q", ClosureTree, ClosureReached, text)
}

// Pin is one state of a source that is accepted: a commit, a digest, or both at
// once.
type Pin struct {
	Commit string `yaml:"commit"` // 40 or 64 hexadecimal digits
	Digest string `yaml:"digest"` // sha256: and 64 hexadecimal digits
}

// Unverified lets a source pass that nobody vouches for.
type Unverified struct {
	Reason string `yaml:"reason"` // for whoever reads the output
	Until  Date   `yaml:"until"`  // the last day on which it passes
}

// Mirror says where the bytes of sources whose identity begins with Prefix
// come from: To, followed by the rest of the path as it was written. Their
// identity stays.
type Mirror struct {
	Prefix string `yaml:"prefix"`
	To     string `yaml:"to"`
}

// Credential is what lets the program in where sources come from. It is
// offered to locations whose identity begins with Prefix, and to no other host.
// Besides Prefix exactly one field is set.
type Credential struct {
	Prefix         string       `yaml:"prefix"`
	Basic          *Basic       `yaml:"basic"`          // https
	Bearer         *Secret      `yaml:"bearer"`         // https
	Helper         string       `yaml:"helper"`         // https: a git credential helper's absolute path
	SSH            *SSHAccess   `yaml:"ssh"`            // ssh
	RegistryConfig *RegistryRef `yaml:"registryConfig"` // oci: a registry client's config.json
	S3             *S3Access    `yaml:"s3"`             // s3::
	GCS            *GCSAccess   `yaml:"gcs"`            // gcs::
}

// Basic is a user's name and password.
type Basic struct {
	Username string  `yaml:"username"`
	Password *Secret `yaml:"password"`
}

// Secret says where a secret is. Exactly one field is set. A file's final
// newline does not belong to the secret.
type Secret struct {
	File string `yaml:"file"` // relative to the policy's folder
	Env  string `yaml:"env"`  // a variable's name
}

// SSHAccess is a private key, and the hosts' keys that are known.
type SSHAccess struct {
	Key        *FileRef `yaml:"key"`
	KnownHosts *FileRef `yaml:"knownHosts"`
}

// RegistryRef is a registry client's config.json. Its auths count; programs
// that it names are not started.
type RegistryRef struct {
	File       string   `yaml:"file"`
	TokenHosts []string `yaml:"tokenHosts"` // hosts besides the registry's own that may be asked for tokens
}

// S3Access is a key for S3 buckets, or leave to use what the AWS client finds in
// the environment, for AWS's own hosts.
type S3Access struct {
	Environment     bool    `yaml:"environment"`
	AccessKeyID     *Secret `yaml:"accessKeyID"`
	SecretAccessKey *Secret `yaml:"secretAccessKey"`
	SessionToken    *Secret `yaml:"sessionToken"`
}

// GCSAccess is leave to use what Google's client finds in the environment.
type GCSAccess struct {
	Environment bool `yaml:"environment"`
}

// Limits bounds what a build may load. Zero means the default.
type Limits struct {
	Sources        int      `yaml:"sources"`        // distinct sources in a build
	Depth          int      `yaml:"depth"`          // references from the root to a source
	FilesPerSource int      `yaml:"filesPerSource"` // entries of a source's tree
	BytesPerSource int64    `yaml:"bytesPerSource"` // bytes of a source's files in all, and of what is fetched for them
	FetchTimeout   Duration `yaml:"fetchTimeout"`   // for one source, as in 90s
	Redirects      *int     `yaml:"redirects"`      // that one request may follow; 0 is none
	CacheBytes     int64    `yaml:"cacheBytes"`     // size of the cache, beyond which what was used longest ago goes
}

// Duration is a time.Duration written as Go does: 90s, 2m.
type Duration time.Duration

// UnmarshalText reads a positive duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("want a duration such as 90s, not %q", text)
	}
	*d = Duration(v)
	return nil
}

// Allow lists what is off unless an operator says otherwise.
type Allow struct {
	Flags    []string `yaml:"flags"`    // of kustomize build, without dashes, that may be given
	FileURLs bool     `yaml:"fileURLs"` // file:// in a kustomization
}

// Sign says what output is signed with, and which resources. It is written as
// "none", or as a mapping.
type Sign struct {
	None          bool            `yaml:"-"`
	Key           *SigningKey     `yaml:"key"`
	UnverifiedKey *SigningKey     `yaml:"unverifiedKey"`
	Match         []ResourceMatch `yaml:"match"` // empty: everything but Secrets

	// EmbedSecrets puts what is signed of a Secret into its annotations, where
	// whoever may read the Secret's metadata reads its values.
	EmbedSecrets bool `yaml:"embedSecrets"`

	Existing Existing `yaml:"existing"`
	Image    *Image   `yaml:"image"`
}

// Existing says what becomes of signatures, and other annotations that only a
// signer sets, with which a resource comes out of a source.
type Existing string

// What becomes of them. Refuse is the default. Replace: they are dropped, and the
// build's own take their place.
const (
	RefuseExisting  Existing = "refuse"
	ReplaceExisting Existing = "replace"
)

// UnmarshalText accepts the names.
func (e *Existing) UnmarshalText(text []byte) error {
	switch v := Existing(text); v {
	case RefuseExisting, ReplaceExisting:
		*e = v
		return nil
	}
	return fmt.Errorf("want %q or %q, not %q", RefuseExisting, ReplaceExisting, text)
}

// Image says where a build's signed YAML is kept as an OCI artifact, signed and
// attested. Credentials are those for oci:REPOSITORY.
type Image struct {
	Repository string `yaml:"repository"` // HOST[:PORT]/PATH
}

// UnmarshalText accepts "none".
func (s *Sign) UnmarshalText(text []byte) error {
	if string(text) != "none" {
		return fmt.Errorf("want none, or a mapping with a key, not %q", text)
	}
	s.None = true
	return nil
}

// ResourceMatch selects resources. Empty fields match everything; "*" is any
// text, also as a part of one.
type ResourceMatch struct {
	Group     string `yaml:"group"`
	Version   string `yaml:"version"`
	Kind      string `yaml:"kind"`
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

// ManifestSign is the key for manifests that trustomize did not build.
type ManifestSign struct {
	Key          *SigningKey     `yaml:"key"`
	Match        []ResourceMatch `yaml:"match"` // empty: everything but Secrets
	EmbedSecrets bool            `yaml:"embedSecrets"`
}

// ManifestVerify says whose signatures of manifests count. They are not the
// signers of sources: with one key for both, built output could pass for a source.
type ManifestVerify struct {
	Keys []KeyRef `yaml:"keys"` // public
}

// LogMode says what becomes of a build's statement.
type LogMode string

// The modes. Required: no YAML before the log has answered with a proof. Spool:
// the signed statement is kept in the cache and delivered afterwards. None:
// nothing is logged.
const (
	LogRequired LogMode = "required"
	LogSpool    LogMode = "spool"
	LogNone     LogMode = "none"
)

// UnmarshalText accepts the modes' names.
func (m *LogMode) UnmarshalText(text []byte) error {
	switch v := LogMode(text); v {
	case LogRequired, LogSpool, LogNone:
		*m = v
		return nil
	}
	return fmt.Errorf("want required, spool or none, not %q", text)
}

// Log says where statements are logged.
type Log struct {
	Mode  LogMode `yaml:"mode"`
	Rekor []Rekor `yaml:"rekor"`
}

// Rekor is one transparency log and the key that its proofs must verify with.
type Rekor struct {
	URL       string  `yaml:"url"`
	Version   int     `yaml:"version"` // 1 or 2
	PublicKey *KeyRef `yaml:"publicKey"`
}
