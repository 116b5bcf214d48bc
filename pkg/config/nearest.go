package config

// nearest is the key with the fewest typing mistakes from key, or "" if none is
// near enough to be meant: one mistake in three letters.
func nearest(key string, fields []field) string {
	best, distance := "", len(key)/3+1
	for _, f := range fields {
		if d := levenshtein(key, f.key); d < distance {
			best, distance = f.key, d
		}
	}
	return best
}

// levenshtein counts the bytes to add, drop or change to get from a to b.
func levenshtein(a, b string) int {
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
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
