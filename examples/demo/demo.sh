# The main job, from nothing: two repositories, one loading the other, a policy,
# a transparency log; a build that succeeds, and what happens when somebody
# changes a byte. Everything is made in a temporary folder and goes with it.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="$root/bin:$PATH"
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
log=
cleanup() {
	[ -z "$log" ] || kill "$log" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
cd "$work"
export COSIGN_PASSWORD=demo TRUSTOMIZE_CACHE="$work/cache" TRUSTOMIZE_POLICY="$work/policy.yaml"
export GIT_CONFIG_GLOBAL="$work/gitconfig" GIT_CONFIG_NOSYSTEM=1
git config --global user.name Demo
git config --global user.email demo@example.com
git config --global init.defaultBranch main

bold= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ %s\n' "$*"; "$@"; }
commit() { git -C "$1" add -A && git -C "$1" commit -q -m "$2"; }

say 'Keys: one for who vouches for sources, one for what is built'
show trustomize keys generate --output-key-prefix sources
show trustomize keys generate --output-key-prefix manifests

say 'Two repositories, each signed and bound to its name; app loads base'
for name in base app; do
	mkdir -p "mirror/acme"
	cp -r "$here/$name" "mirror/acme/$name"
	git init -q "mirror/acme/$name"
	show trustomize materials sign "mirror/acme/$name" --key sources.key --source "https://github.com/acme/$name"
	commit "mirror/acme/$name" signed
done

say 'A transparency log: Rekor v2, on loopback'
rekorkey
port=$((20000 + $$ % 20000))
rekor-server serve --storage-dir="$work/rekor" --signer-filepath=rekor.pem --hostname=localhost \
	--http-address=127.0.0.1 --grpc-address=127.0.0.1 --http-port=$port --grpc-port=$((port + 1)) --http-metrics-port=$((port + 2)) \
	--checkpoint-interval=200ms --batch-max-age=50ms >rekor.log 2>&1 &
log=$!
sed -e "s#MIRROR#$work/mirror#" -e "s#PORT#$port#" "$here/policy.yaml" >policy.yaml
show trustomize policy check policy.yaml
# The log answers when its first checkpoint is out.
tries=0
until [ -s rekor/checkpoint ]; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { cat rekor.log; exit 1; }
	sleep 0.1
done
sleep 0.3

say 'Who vouches for what a build would load?'
show trustomize verify 'https://github.com/acme/app?ref=main'

say 'Verified, built, signed, logged'
show trustomize build --record provenance.json 'https://github.com/acme/app?ref=main' >manifest.yaml
sed 's/\(message: .\{40\}\).*/\1.../' manifest.yaml

say 'Anybody can check a resource: base64, gunzip and a public key'
printf "$ grep -m1 'cosign.sigstore.dev/message' manifest.yaml | awk '{print \$2}' | base64 -d | gunzip\n"
grep -m1 'cosign.sigstore.dev/message' manifest.yaml | awk '{print $2}' | base64 -d | gunzip

say 'Somebody changes the base, one byte, without signing it'
sed -i 's/replicas: 1/replicas: 9/' mirror/acme/base/deployment.yaml
commit mirror/acme/base tampered
status=0
show trustomize build 'https://github.com/acme/app?ref=main' || status=$?
[ $status = 3 ] || { echo "exit status $status, want 3" >&2; exit 1; }
say "Refused (exit status 3), and not a byte of YAML was printed."
