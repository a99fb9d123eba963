package linearizability

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const refused = twoOwners + `
	8 9 lookup a = ok n1/1 3
	8 - revoke n2/2
	8 9 use n1/1 a 3 = valid
	9 9 lost n1/1 = ok
`

func TestAPictureShowsTheHistory(t *testing.T) {
	for name, o := range map[string]Options{"whole": {}, "parts": {WholeMax: -1}, "out of steps": {Steps: 1}} {
		t.Run(name, func(t *testing.T) {
			var page bytes.Buffer
			if err := WritePicture(&page, parseHistory(t, refused), o, Note{At: 9, Title: "broken-rule", Text: "two at once"}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"<html", `#2 claim of \"a\" by n1/1: ok, token 3`, `owner n1/1 with token 3`,
				"use valid", "lost ok", "broken-rule", "two at once", "end of the history", "n1/1 live",
			} {
				if name == "out of steps" && want == "n1/1 live" {
					continue
				}
				if !strings.Contains(page.String(), want) {
					t.Errorf("the page lacks %q", want)
				}
			}
		})
	}
}

func TestAPictureOfALegalAndOfAnEmptyHistory(t *testing.T) {
	for _, text := range []string{"", twoOwners, given + "4 6 transfer n1/1 a 3 n2/2 = ok 5\n7 - transfer n2/2 a 5 n1/1\n8 9 lookup a = ok n1/1 6"} {
		var page bytes.Buffer
		if err := WritePicture(&page, parseHistory(t, text), Options{}); err != nil {
			t.Error(err)
		}
	}
}

func TestAPictureReportsBadInputAndAFullDisk(t *testing.T) {
	h := parseHistory(t, twoOwners)
	if err := WritePicture(&failAfter{100}, h, Options{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("full disk: %v", err)
	}
	h.Ops[0].Node = ""
	if err := WritePicture(io.Discard, h, Options{}); !errors.Is(err, ErrOp) {
		t.Errorf("malformed history: %v", err)
	}
}

func TestOperationsThatOverlapGetLanesOfTheirOwn(t *testing.T) {
	h := parseHistory(t, "0 9 lookup a = unowned\n1 2 lookup a = unowned\n10 12 lookup a = unowned\n0 9 lookup b = unowned")
	for i := range h.Ops {
		h.Ops[i].Client = "c"
	}
	h.Ops[3].Client = "d"
	p := newPicture(h)
	want := []int{0, 1, 0, 2}
	for i, lane := range p.lanes {
		if lane != want[i] {
			t.Errorf("operation %d is in lane %d, want %d", i, lane, want[i])
		}
	}
}
