package server

import (
	"reflect"
	"slices"
	"strings"
)

const variablePrefix = "FAPID_"

// environment sets values from FAPID_ variables: two underscores between the
// levels, all in capitals, '_' for the '-' in the name of a realm or policy.
func (l *loader) environment(env []string, into reflect.Value) {
	set := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) {
			set[name] = value
		}
	}
	for _, name := range sortedKeys(set) {
		l.variable(name, set, into)
	}
}

func (l *loader) variable(name string, set map[string]string, into reflect.Value) {
	origin, value := Origin{Name: name}, set[name]
	keys := variableKeys(name)
	target, ok := resolve(into.Type(), keys)
	if !ok || variableName(keys) != name {
		direct, isFile := strings.CutSuffix(name, "_FILE")
		keys = variableKeys(direct)
		target, ok = resolve(into.Type(), keys)
		if !isFile || !ok || variableName(keys) != direct {
			l.refuse(origin, "", "unknown variable; %s", suggest(strings.ToUpper(name), variableNames(into.Type(), nameIn(variableKeys(name)))))
			return
		}
		if _, both := set[direct]; both {
			l.refuse(origin, "", "%s is set too; set one of them", direct)
			return
		}
		if value, ok = l.fileValue(origin, value); !ok {
			return
		}
	}
	l.set(origin, keys, target, value, into)
}

// fileValue reads a value that was put in a file, without its last line break.
func (l *loader) fileValue(origin Origin, file string) (string, bool) {
	content, err := readAtMost(file, maxFileBytes)
	if err != nil {
		l.refuse(origin, "", "%q %s", file, unreadable(err))
		return "", false
	}
	return strings.TrimRight(string(content), "\r\n"), true
}

// variableKeys are the keys that a variable's name stands for.
func variableKeys(name string) []string {
	keys := strings.Split(strings.ToLower(strings.TrimPrefix(name, variablePrefix)), "__")
	// Only the names of realms and policies have dashes, and no underscores.
	if len(keys) > 1 {
		if t, ok := resolve(reflect.TypeFor[Config](), keys[:1]); ok && kindOf(t) == kindNamed {
			keys[1] = strings.ReplaceAll(keys[1], "_", "-")
		}
	}
	return keys
}

func variableName(keys []string) string {
	name := strings.ToUpper(strings.Join(keys, "__"))
	return variablePrefix + strings.ReplaceAll(name, "-", "_")
}

func variableNames(t reflect.Type, realm string) []string {
	names := leaves(t, realm)
	for i, path := range names {
		names[i] = variableName(strings.Split(path, "."))
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
