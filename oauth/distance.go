package oauth

import "iter"

// Distance is how many bytes must change to get from a to b (Levenshtein): what
// "did you mean" is decided by.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Alike is the name that has the most in common with a text at both ends for its length,
// and more than one byte; empty if none has. It is quick: the text may be anybody's.
func Alike(text string, names iter.Seq[string]) string {
	best, most := "", 0
	for name := range names {
		common, shorter := 0, min(len(text), len(name))
		for common < shorter && text[common] == name[common] {
			common++
		}
		for i := 1; common < shorter && text[len(text)-i] == name[len(name)-i]; i++ {
			common++
		}
		if common < 2 {
			continue
		}
		if score := 2*common - len(name); best == "" || score > most || score == most && name < best {
			best, most = name, score
		}
	}
	return best
}
