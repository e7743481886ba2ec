package policy

import (
	"fmt"
	"time"
)

// Date is a day in UTC, written as 2027-01-31. The zero value is no day.
type Date struct{ begin time.Time }

// UnmarshalText reads a day.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil || t.Year() < 1970 {
		return fmt.Errorf("want a day such as 2027-01-31, not %q", text)
	}
	d.begin = t
	return nil
}

// IsZero reports whether no day is said.
func (d Date) IsZero() bool { return d.begin.IsZero() }

// Begin is the day's first moment.
func (d Date) Begin() time.Time { return d.begin }

// End is the first moment after the day.
func (d Date) End() time.Time { return d.begin.AddDate(0, 0, 1) }

func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return day(d.begin)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
