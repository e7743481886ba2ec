//go:build kms_hashivault

package signer

import _ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
