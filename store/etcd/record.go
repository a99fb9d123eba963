package etcd

import (
	"encoding/binary"
	"fmt"
)

// A record lists the ranges that one transaction cleared or declared to be
// written. Deleted rows leave nothing that a condition could see, and keys that
// were never written have no row; the record, whose mod revision is that of the
// commit, stands for both.
//
// A trail lists the keys for which one commit left tombstones, so that whoever
// comes by later can remove them.
//
// Both are sequences of texts, each behind its length as a uvarint.

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func encodeTexts(texts []string) string {
	var b []byte
	for _, t := range texts {
		b = appendText(b, t)
	}
	return string(b)
}

func decodeTexts(raw []byte) ([]string, error) {
	var texts []string
	for len(raw) > 0 {
		size, n := binary.Uvarint(raw)
		if n <= 0 || size > uint64(len(raw)-n) {
			return nil, fmt.Errorf("%w: a list is cut short", ErrCorrupt)
		}
		texts = append(texts, string(raw[n:n+int(size)]))
		raw = raw[n+int(size):]
	}
	return texts, nil
}

func encodeRecord(spans spanSet) string {
	var b []byte
	for _, s := range spans {
		b = appendText(appendText(b, s.begin), s.end)
	}
	return string(b)
}

func decodeRecord(raw []byte) (spanSet, error) {
	texts, err := decodeTexts(raw)
	if err != nil {
		return nil, err
	}
	if len(texts)%2 != 0 {
		return nil, fmt.Errorf("%w: a record of %d bounds", ErrCorrupt, len(texts))
	}
	var spans spanSet
	for i := 0; i < len(texts); i += 2 {
		spans.add(span{texts[i], texts[i+1]})
	}
	return spans, nil
}
