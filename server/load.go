package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/fapid/fapid/oauth"
)

// Source is what a configuration is made of. Each layer overrides the one
// before: defaults, file, environment, command line.
type Source struct {
	// File is the YAML file; empty means none.
	File string
	// YAML, if not nil, is taken for the content of File, which then only names
	// it in errors.
	YAML []byte
	// Env is the environment, as [os.Environ] gives it. FAPID_LOG__LEVEL sets
	// log.level; FAPID_LOG__LEVEL_FILE reads the value from a file.
	Env []string
	// Flags are values from the command line, by dotted path
	// ("listeners.standard.address").
	Flags map[string]string
}

// loader collects what the layers say and what is wrong with them.
type loader struct {
	origins  origins
	problems Problems
}

func (l *loader) refuse(origin Origin, path, format string, args ...any) {
	l.problems = append(l.problems, Problem{Origin: origin, Path: path, Text: fmt.Sprintf(format, args...)})
}

// Load reads the layers of a source strictly: an unknown key or variable, a key
// written twice or a value of the wrong type is an error. The error is
// [Problems], all of them. The configuration still wants [Config.Complete].
func Load(source Source) (Config, error) {
	l := &loader{origins: origins{}}
	var config Config
	into := reflect.ValueOf(&config).Elem()
	if source.File != "" || source.YAML != nil {
		l.file(source, into)
	}
	if config.Dir != "" && !filepath.IsAbs(config.Dir) {
		config.Dir = filepath.Join(filepath.Dir(source.File), config.Dir)
	}
	l.environment(source.Env, into)
	l.flags(source.Flags, into)
	if err := l.problems.err(); err != nil {
		return Config{}, err
	}
	config.origins = l.origins
	return config, nil
}

func (l *loader) file(source Source, into reflect.Value) {
	content, name := source.YAML, source.File
	if name == "" {
		name = "configuration"
	}
	if content == nil {
		var err error
		if content, err = readAtMost(source.File, maxFileBytes+1); err != nil {
			l.refuse(Origin{Name: name}, "", "%s", unreadable(err))
			return
		}
	}
	(&decoder{loader: l, file: name}).decode(content, into)
}

// readAtMost reads the beginning of a file.
func readAtMost(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, limit))
}

// unreadable is the reason alone: the name of the file is said elsewhere.
func unreadable(err error) string {
	var fault *fs.PathError
	if errors.As(err, &fault) {
		return "cannot be read: " + fault.Err.Error()
	}
	return "cannot be read: " + err.Error()
}

func (l *loader) flags(flags map[string]string, into reflect.Value) {
	origin := Origin{Name: "command line"}
	for path, text := range flags {
		keys := strings.Split(path, ".")
		target, ok := resolve(into.Type(), keys)
		if !ok {
			l.refuse(origin, path, "unknown key; %s", suggest(path, leaves(into.Type(), nameIn(keys))))
			continue
		}
		l.set(origin, keys, target, text, into)
	}
}

// resolve returns the type of the value at a path, false if there is no such key.
func resolve(t reflect.Type, keys []string) (reflect.Type, bool) {
	for _, key := range keys {
		t = bare(t)
		switch {
		case kindOf(t) == kindSection:
			f, known := fieldNamed(t, key)
			if !known {
				return nil, false
			}
			t = t.Field(f.index).Type
		case kindOf(t) == kindNamed && key != "":
			t = t.Elem()
		default:
			return nil, false
		}
	}
	return t, true
}

// leaves are the dotted paths of all values below t; name stands for that of a
// realm or policy.
func leaves(t reflect.Type, name string) []string {
	var paths []string
	for _, f := range fieldsOf(t) {
		member, prefix := bare(t.Field(f.index).Type), f.key
		if kindOf(member) == kindNamed {
			member, prefix = bare(member.Elem()), join(prefix, name)
		}
		if kindOf(member) != kindSection {
			paths = append(paths, prefix)
			continue
		}
		for _, below := range leaves(member, name) {
			paths = append(paths, join(prefix, below))
		}
	}
	return paths
}

// nameIn is the name of a realm or policy in a path, "default" if it has none.
func nameIn(keys []string) string {
	if len(keys) > 2 && keys[1] != "" {
		return keys[1]
	}
	return "default"
}

// set sets the value at a path from text; lists are written with commas.
func (l *loader) set(origin Origin, keys []string, t reflect.Type, text string, into reflect.Value) {
	path := strings.Join(keys, ".")
	fresh := reflect.New(t).Elem()
	var err error
	switch kindOf(t) {
	case kindText:
		err = setText(fresh, text)
	case kindSwitch:
		if text != "true" && text != "false" {
			err = fmt.Errorf("expected true or false, not %q", text)
		}
		settle(fresh).SetBool(text == "true")
	case kindList:
		err = setList(fresh, text)
	default:
		err = errors.New("has keys of its own; set one of those")
	}
	if err != nil {
		l.refuse(origin, path, "%s", err)
		return
	}
	l.origins.set(path, origin)
	place(into, keys, fresh)
}

func setList(v reflect.Value, text string) error {
	items := strings.Split(text, ",")
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if err := setText(v.Index(i), strings.TrimSpace(item)); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}

// place puts a value where the path leads, and makes what lies between.
func place(v reflect.Value, keys []string, value reflect.Value) {
	if len(keys) == 0 {
		v.Set(value)
		return
	}
	v = settle(v)
	if v.Kind() == reflect.Struct {
		f, _ := fieldNamed(v.Type(), keys[0])
		place(v.Field(f.index), keys[1:], value)
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	name := reflect.ValueOf(keys[0]).Convert(v.Type().Key())
	// The entry of a map cannot be changed in place.
	entry := reflect.New(v.Type().Elem()).Elem()
	if present := v.MapIndex(name); present.IsValid() {
		entry.Set(present)
	}
	place(entry, keys[1:], value)
	v.SetMapIndex(name, entry)
}

// suggest names the known word nearest to an unknown one, or all of them when
// none is near. Words of several parts are nearest when their last parts agree.
func suggest(unknown string, known []string) string {
	last := func(word string) string { return word[strings.LastIndexAny(word, "._")+1:] }
	apart := func(word string) int {
		if last(word) == last(unknown) {
			return oauth.Distance(unknown, word)
		}
		return oauth.Distance(unknown, word) + maxText
	}
	nearest := slices.MinFunc(known, func(a, b string) int { return apart(a) - apart(b) })
	few := len(known) <= 15
	if few && apart(nearest) >= maxText && oauth.Distance(unknown, nearest) > max(2, len(unknown)/2) {
		return "there are " + strings.Join(known, ", ")
	}
	return "did you mean " + nearest + "?"
}
