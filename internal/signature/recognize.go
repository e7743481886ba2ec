package signature

import "errors"

// ErrUnsupported and ErrMismatch tell the two ways in which [Verify] fails.
var (
	ErrUnsupported = errors.New("this kind of signature is not supported yet")
	ErrMismatch    = errors.New("the signature does not verify")
)

// Recognize tells a signature's kind from its content.
func Recognize(sig []byte) (Kind, error) {
	all, err := Split(sig)
	if err != nil {
		return "", err
	}
	return all[0].Kind, nil
}

// Verify checks that the key made the signature over the message.
func Verify(sig, message []byte, key Key) (Evidence, error) {
	all, err := Split(sig)
	if err != nil {
		return Evidence{}, err
	}
	e, err := key.Verify(all[0], message, When{})
	var why *Error
	switch {
	case errors.As(err, &why) && why.Reason == OtherKind:
		return Evidence{}, ErrUnsupported
	case err != nil:
		return Evidence{}, ErrMismatch
	}
	return e, nil
}
