//go:build kms_gcp

package signer

import _ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
