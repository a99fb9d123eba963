package mutants

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const goodHeader = `A title

Bug: wrong
  in two lines.
Seen: nowhere.
Shows: nothing.
Scenarios: one, two-b
`

const goodFile = `
-- registry/claim.go --
<<<<<<<
	old
=======
	new
>>>>>>>
`

func TestParseReadsAWellFormedPatch(t *testing.T) {
	got, err := Parse("name", []byte(goodHeader+goodFile+`
<<<<<<<
gone

=======
>>>>>>>
-- store/db.go --
<<<<<<<
=
=======
<<<<<<
>>>>>>>
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Mutant{
		Name: "name", Title: "A title", Bug: "wrong in two lines.", Seen: "nowhere.", Shows: "nothing.",
		Scenarios: []string{"one", "two-b"},
		Files: []File{
			{Path: "registry/claim.go", Hunks: []Hunk{{"\told\n", "\tnew\n"}, {"gone\n\n", ""}}},
			{Path: "store/db.go", Hunks: []Hunk{{"=\n", "<<<<<<\n"}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestParseRefusesBadFormat(t *testing.T) {
	hunk := func(lines ...string) string {
		return goodHeader + "-- registry/claim.go --\n" + strings.Join(lines, "\n") + "\n"
	}
	without := func(field string) string {
		return strings.Replace(goodHeader, field, "Bug", 1) + goodFile
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":                {"", "title"},
		"no title":             {"\n" + goodHeader + goodFile, "title"},
		"no file":              {goodHeader, "changes no file"},
		"field missing":        {strings.Replace(goodHeader, "Seen: nowhere.\n", "", 1) + goodFile, `"Seen" is missing`},
		"field empty":          {strings.Replace(goodHeader, "nowhere.", "", 1) + goodFile, `"Seen" is missing or empty`},
		"field twice":          {without("Seen"), `"Bug" is there twice`},
		"field unknown":        {strings.Replace(goodHeader, "Seen", "See", 1) + goodFile, `unknown field "See"`},
		"text without field":   {strings.Replace(goodHeader, "Seen: ", "Seen ", 1) + goodFile, "neither a field"},
		"indent without field": {strings.Replace(goodHeader, "Bug: wrong\n", "", 1) + goodFile, "goes on with no field"},
		"no scenario":          {strings.Replace(goodHeader, "one, two-b", "", 1) + goodFile, `"Scenarios" is missing`},
		"scenario empty":       {strings.Replace(goodHeader, "one, two-b", "one,", 1) + goodFile, `"" is not a name`},
		"scenario a flag":      {strings.Replace(goodHeader, "one, two-b", "--seeds", 1) + goodFile, `"--seeds" is not a name`},
		"scenario twice":       {strings.Replace(goodHeader, "two-b", "one", 1) + goodFile, `"one" is there twice`},
		"file twice":           {goodHeader + goodFile + goodFile, "two sections"},
		"file outside":         {strings.Replace(goodHeader+goodFile, "registry/claim.go", "../claim.go", 1), "not a clean path"},
		"file absolute":        {strings.Replace(goodHeader+goodFile, "registry/claim.go", "/claim.go", 1), "not a clean path"},
		"file not clean":       {strings.Replace(goodHeader+goodFile, "registry/", "registry/./", 1), "not a clean path"},
		"file not Go":          {strings.Replace(goodHeader+goodFile, "claim.go", "claim.txt", 1), "not a Go file"},
		"section empty":        {goodHeader + "-- registry/claim.go --\n", "no hunk"},
		"text before hunk":     {hunk("old"), `line 1: unexpected "old"`},
		"hunk not ended":       {hunk("<<<<<<<", "a", "=======", "b"), "hunk 1 does not end"},
		"hunk not divided":     {hunk("<<<<<<<", "a", ">>>>>>>"), `line 3: unexpected ">>>>>>>"`},
		"hunk in hunk":         {hunk("<<<<<<<", "a", "<<<<<<<"), `line 3: unexpected "<<<<<<<"`},
		"divided twice":        {hunk("<<<<<<<", "a", "=======", "b", "=======", "c", ">>>>>>>"), `line 5: unexpected "======="`},
		"end without start":    {hunk(">>>>>>>"), `line 1: unexpected`},
		"nothing old":          {hunk("<<<<<<<", "=======", "b", ">>>>>>>"), "hunk 1 has no old lines"},
		"nothing changed":      {hunk("<<<<<<<", "a", "=======", "a", ">>>>>>>"), "hunk 1 changes nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("the-mutant", []byte(c.text))
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("got %v, want ErrFormat", err)
			}
			for _, want := range []string{`"the-mutant"`, c.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add([]byte(goodHeader + goodFile))
	f.Add([]byte("title\nBug: x\n y\n-- a.go --\n<<<<<<<\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("fuzz", data)
		if err == nil && (len(m.Files) == 0 || len(m.Scenarios) == 0) {
			t.Errorf("accepted an empty mutant: %+v", m)
		}
	})
}
