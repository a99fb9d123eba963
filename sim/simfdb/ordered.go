package simfdb

import (
	"slices"
	"strings"
)

// blockMax bounds the length of a block of an orderedMap. Inserting costs one
// move of half a block, so that maps of some hundred thousand keys stay cheap.
const blockMax = 128

// orderedMap maps strings to values in key order. The zero value is empty.
// Positions are valid until the next insert or delete.
type orderedMap[V any] struct {
	blocks [][]orderedItem[V] // none empty, unless there is only one
	count  int
}

type orderedItem[V any] struct {
	key   string
	value V
}

// position is a place in an orderedMap: the item at it, or the end.
type position struct {
	block, index int
}

// seek returns the position of the first item with a key at or behind key, and
// whether its key is key.
func (m *orderedMap[V]) seek(key string) (position, bool) {
	b := 0
	if len(m.blocks) > 1 {
		// The first block whose last key is not before key.
		b, _ = slices.BinarySearchFunc(m.blocks, key, func(block []orderedItem[V], k string) int {
			return strings.Compare(block[len(block)-1].key, k)
		})
	}
	if b == len(m.blocks) {
		return position{block: b}, false
	}
	i, found := slices.BinarySearchFunc(m.blocks[b], key, func(it orderedItem[V], k string) int {
		return strings.Compare(it.key, k)
	})
	return m.normal(position{b, i}), found
}

// normal moves a position behind the last item of a block to the next block.
func (m *orderedMap[V]) normal(p position) position {
	if p.block < len(m.blocks) && p.index == len(m.blocks[p.block]) {
		return position{block: p.block + 1}
	}
	return p
}

// first returns the position of the first item.
func (m *orderedMap[V]) first() position { return m.normal(position{}) }

// at returns the item at p, or nil at the end.
func (m *orderedMap[V]) at(p position) *orderedItem[V] {
	if p.block >= len(m.blocks) {
		return nil
	}
	return &m.blocks[p.block][p.index]
}

// next returns the position behind p, which is not the end.
func (m *orderedMap[V]) next(p position) position {
	p.index++
	return m.normal(p)
}

// prev returns the position before p, and false when p is the first.
func (m *orderedMap[V]) prev(p position) (position, bool) {
	if p.index > 0 {
		p.index--
		return p, true
	}
	if p.block == 0 || len(m.blocks[p.block-1]) == 0 {
		return p, false
	}
	p.block--
	p.index = len(m.blocks[p.block]) - 1
	return p, true
}

// insert puts a key that is not in the map at p, the result of its seek.
func (m *orderedMap[V]) insert(p position, key string, value V) *orderedItem[V] {
	m.count++
	if len(m.blocks) == 0 {
		m.blocks = append(m.blocks, make([]orderedItem[V], 0, 8))
	}
	if p.block > 0 && p.index == 0 && (p.block == len(m.blocks) || len(m.blocks[p.block-1]) < blockMax) {
		// In front of a block is behind the one before it.
		p.block--
		p.index = len(m.blocks[p.block])
	}
	if block := m.blocks[p.block]; len(block) >= blockMax {
		half := blockMax / 2
		if p.block == len(m.blocks)-1 && p.index == len(block) {
			half = blockMax // keys that come in order leave full blocks behind
		}
		right := append(make([]orderedItem[V], 0, blockMax), block[half:]...)
		clear(block[half:])
		m.blocks[p.block] = block[:half]
		if p.index >= half {
			p = position{p.block + 1, p.index - half}
			m.blocks = slices.Insert(m.blocks, p.block, right)
		} else {
			m.blocks = slices.Insert(m.blocks, p.block+1, right)
		}
	}
	m.blocks[p.block] = slices.Insert(m.blocks[p.block], p.index, orderedItem[V]{key, value})
	return &m.blocks[p.block][p.index]
}

// delete removes the item at p and returns the position of the one behind it.
func (m *orderedMap[V]) delete(p position) position {
	m.count--
	m.blocks[p.block] = slices.Delete(m.blocks[p.block], p.index, p.index+1)
	if len(m.blocks[p.block]) == 0 && len(m.blocks) > 1 {
		m.blocks = slices.Delete(m.blocks, p.block, p.block+1)
		return position{block: p.block}
	}
	return m.normal(p)
}
