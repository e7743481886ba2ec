//go:build kms_azure

package signer

import _ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
