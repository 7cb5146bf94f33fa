package registration

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
)

// LocateJSON says where the members of a JSON document are, by their paths, and
// where it stops being one: at a syntax error or at a member that comes twice;
// that is empty for nowhere. It is for documents that were refused; nothing is
// looked up in one that is good. One in one line has no positions worth to be told.
func LocateJSON(data []byte) (positions map[string]string, fault string) {
	if !bytes.Contains(bytes.TrimSpace(data), []byte("\n")) {
		return nil, ""
	}
	w := walker{data: data, tokens: stdjson.NewDecoder(bytes.NewReader(data)), positions: map[string]string{}}
	w.tokens.UseNumber()
	if offset, err := w.value("", 0); err != nil {
		fault = w.position(offset)
	}
	return w.positions, fault
}

type walker struct {
	data      []byte
	tokens    *stdjson.Decoder
	positions map[string]string
}

var errTwice = errors.New("a member comes twice")

// value walks one value; the offset is where an error is.
func (w *walker) value(path string, depth int) (int64, error) {
	const deepest = 100
	if depth > deepest {
		return w.next(), errors.New("too deep")
	}
	token, err := w.tokens.Token()
	if err != nil {
		return w.next(), err
	}
	switch token {
	case stdjson.Delim('{'):
		return w.members(path, depth)
	case stdjson.Delim('['):
		for i := 0; w.tokens.More(); i++ {
			if offset, err := w.value(element(path, i), depth+1); err != nil {
				return offset, err
			}
		}
		_, err := w.tokens.Token()
		return w.next(), err
	}
	return 0, nil
}

func (w *walker) members(path string, depth int) (int64, error) {
	for w.tokens.More() {
		offset := w.next()
		token, err := w.tokens.Token()
		if err != nil {
			return offset, err
		}
		name, _ := token.(string)
		member := below(path, name)
		if w.positions[member] != "" {
			return offset, errTwice
		}
		w.positions[member] = w.position(offset)
		if offset, err := w.value(member, depth+1); err != nil {
			return offset, err
		}
	}
	_, err := w.tokens.Token()
	return w.next(), err
}

// next is where the next token begins.
func (w *walker) next() int64 {
	offset := w.tokens.InputOffset()
	for offset < int64(len(w.data)) && bytes.IndexByte([]byte(" \t\r\n,:"), w.data[offset]) >= 0 {
		offset++
	}
	return offset
}

// position writes an offset as line and column, both from 1, as editors do.
func (w *walker) position(offset int64) string {
	before := w.data[:max(0, min(offset, int64(len(w.data))))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(bytes.Runes(before[bytes.LastIndexByte(before, '\n')+1:])) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}
