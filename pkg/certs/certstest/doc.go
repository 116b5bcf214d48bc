// Package certstest makes authorities and certificates for tests, as files.
package certstest
