//go:build kms_aws

package signer

import _ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
