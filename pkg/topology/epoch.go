package topology

import (
	"crypto/rand"
	"strings"
)

// EpochLength is the number of characters of an epoch.
const EpochLength = 8

// NewEpoch makes an epoch: eight random characters of lower-case base32, 40
// bits. Two epochs of one stream's life are compared, never sorted.
func NewEpoch() string { return strings.ToLower(rand.Text()[:EpochLength]) }
