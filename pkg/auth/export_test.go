package auth

// MaxLately is maxLately.
const MaxLately = maxLately
