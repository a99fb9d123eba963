package simfdb

import (
	"slices"
	"strings"
)

// readCache is what a transaction knows of the store at its read version: the
// read half of read-your-writes. Reads that it can answer touch no server. The
// zero value knows nothing.
type readCache struct {
	known []knownRange // sorted, disjoint, not touching
}

// knownRange is a range all of whose stored rows are known.
type knownRange struct {
	KeyRange
	rows []row
}

// after returns the index of the first known range that ends behind key.
func (c *readCache) after(key string) int {
	i, found := slices.BinarySearchFunc(c.known, key, func(k knownRange, key string) int {
		return strings.Compare(k.End, key)
	})
	if found {
		i++
	}
	return i
}

// get returns the stored value of key, if it is known.
func (c *readCache) get(key string) (value string, present, known bool) {
	i := c.after(key)
	if i == len(c.known) || c.known[i].Begin > key {
		return "", false, false
	}
	rows := c.known[i].rows
	if j, found := searchRows(rows, key); found {
		return rows[j].value, true, true
	}
	return "", false, true
}

// from returns the stretch of r at its beginning whose rows are known, with its
// rows, or, if there is none, the stretch up to where knowledge begins again.
func (c *readCache) from(r KeyRange) (stretch KeyRange, rows []row, known bool) {
	i := c.after(r.Begin)
	if i == len(c.known) || c.known[i].Begin >= r.End {
		return r, nil, false
	}
	k := c.known[i]
	if k.Begin > r.Begin {
		return KeyRange{r.Begin, k.Begin}, nil, false
	}
	stretch = KeyRange{r.Begin, min(r.End, k.End)}
	return stretch, rowsIn(k.rows, stretch), true
}

// upTo is from for the end of r.
func (c *readCache) upTo(r KeyRange) (stretch KeyRange, rows []row, known bool) {
	// The last known range that begins before r.End.
	i, _ := slices.BinarySearchFunc(c.known, r.End, func(k knownRange, key string) int {
		return strings.Compare(k.Begin, key)
	})
	if i == 0 || c.known[i-1].End <= r.Begin {
		return r, nil, false
	}
	k := c.known[i-1]
	if k.End < r.End {
		return KeyRange{k.End, r.End}, nil, false
	}
	stretch = KeyRange{max(r.Begin, k.Begin), r.End}
	return stretch, rowsIn(k.rows, stretch), true
}

// reach extends stretch, which is unknown, to the end of the last unknown stretch
// of r that lies behind it with nothing between them but single known keys.
func (c *readCache) reach(stretch, r KeyRange) KeyRange {
	for i := c.after(stretch.End); stretch.End < r.End && i < len(c.known) && c.known[i].single(); i++ {
		end := r.End
		if i+1 < len(c.known) {
			end = min(end, c.known[i+1].Begin)
		}
		if end <= c.known[i].End {
			break
		}
		stretch.End = end
	}
	return stretch
}

// reachBack is reach towards the beginning of r.
func (c *readCache) reachBack(stretch, r KeyRange) KeyRange {
	for i := c.after(stretch.Begin) - 1; r.Begin < stretch.Begin && i >= 0 && c.known[i].single(); i-- {
		begin := r.Begin
		if i > 0 {
			begin = max(begin, c.known[i-1].End)
		}
		if begin >= c.known[i].Begin {
			break
		}
		stretch.Begin = begin
	}
	return stretch
}

// learn records all stored rows of r.
func (c *readCache) learn(r KeyRange, rows []row) {
	if r.empty() {
		return
	}
	lo := c.after(r.Begin)
	if lo > 0 && c.known[lo-1].End == r.Begin {
		lo--
	}
	hi := lo
	for hi < len(c.known) && c.known[hi].Begin <= r.End {
		hi++
	}
	if lo == hi {
		if c.known == nil {
			c.known = make([]knownRange, 0, 4)
		}
		c.known = slices.Insert(c.known, lo, knownRange{r, rows})
		return
	}
	first, last := c.known[lo], c.known[hi-1]
	var joined []row
	joined = append(joined, rowsIn(first.rows, KeyRange{first.Begin, r.Begin})...)
	joined = append(joined, rows...)
	joined = append(joined, rowsIn(last.rows, KeyRange{r.End, last.End})...)
	merged := knownRange{KeyRange{min(first.Begin, r.Begin), max(last.End, r.End)}, joined}
	c.known = slices.Replace(c.known, lo, hi, merged)
}

func searchRows(rows []row, key string) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(r row, k string) int {
		return strings.Compare(r.key, k)
	})
}

// rowsIn returns the part of rows, which are in key order, that lies in r.
func rowsIn(rows []row, r KeyRange) []row {
	if r.empty() {
		return nil
	}
	lo, _ := searchRows(rows, r.Begin)
	hi, _ := searchRows(rows, r.End)
	return rows[lo:hi]
}
