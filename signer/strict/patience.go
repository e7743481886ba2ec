package strict

import "fmt"

// MaxWasted bounds the messages of refused resources of one text, in bytes, unpacked
// and added up. Packed, they can be a thousandth of that, and each is looked at for
// every signature and every key.
const MaxWasted = 128 << 20

// Patience is what is left for refused resources.
type Patience struct{ wasted int }

// After returns an error when it has come to its end.
func (p *Patience) After(v *Verdict) error {
	if v.OK() {
		return nil
	}
	if p.wasted += v.Size; p.wasted > MaxWasted {
		return fmt.Errorf("what follows %s was not looked at: the messages of refused resources have more than %d bytes", v.Resource, MaxWasted)
	}
	return nil
}
