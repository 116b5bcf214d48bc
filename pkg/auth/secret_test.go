package auth_test

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/belfry-events/belfry/pkg/auth"
	"github.com/belfry-events/belfry/pkg/fault"
)

func TestSecretIsMadeOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	const makers = 8
	got := make([][]byte, makers)
	var wg sync.WaitGroup
	for i := range makers {
		wg.Go(func() {
			s, err := auth.LoadOrCreateSecret(path)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = s[0]
		})
	}
	wg.Wait()
	for _, s := range got {
		if !bytes.Equal(s, got[0]) || len(s) < auth.MinSecret {
			t.Fatalf("secrets differ or are short: %q", got)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".secret-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestReadSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("new\r\n\n old \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := auth.ReadSecrets(path)
	if err != nil || len(s) != 2 || string(s[0]) != "new" || string(s[1]) != "old" {
		t.Errorf("%q, %v", s, err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.ReadSecrets(path); fault.CodeOf(err) != fault.InvalidConfig {
		t.Errorf("empty file: %v", err)
	}
	nowhere := filepath.Join(t.TempDir(), "no", "such", "dir")
	if _, err := auth.LoadOrCreateSecret(nowhere); fault.CodeOf(err) != fault.DataDirUnwritable {
		t.Errorf("no directory: %v", err)
	}
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header, target string
		allowQuery           bool
		want                 string
	}{
		{"header", "Bearer abc", "/", false, "abc"},
		{"scheme ignores case", "bearer  abc ", "/", false, "abc"},
		{"header wins", "Bearer abc", "/?access_token=xyz", true, "abc"},
		{"query", "", "/?access_token=xyz", true, "xyz"},
		{"query where it is not taken", "", "/?access_token=xyz", false, ""},
		{"nothing", "", "/", true, ""},
		{"another scheme does not fall back", "Basic abc", "/?access_token=xyz", true, ""},
		{"no token", "Bearer ", "/", false, ""},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		got, err := auth.FromRequest(r, c.allowQuery)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && fault.CodeOf(err) != fault.TokenMissing {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}
