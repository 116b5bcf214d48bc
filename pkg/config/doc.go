// Package config fills typed structs from, in rising order of precedence,
//
//	default       the value the struct already has
//	file          YAML            http: {addr: 127.0.0.1:8080}
//	environment   BELFRY_<KEY>    BELFRY_HTTP_ADDR=127.0.0.1:8080
//	flag          --http …        or, for any key, --set http.addr=…
//
// and remembers where each value came from. A struct says with tags which keys
// it has:
//
//	Addr    string        `config:"http.addr" flag:"http" usage:"address to serve on"`
//	Timeout time.Duration `config:"http.timeout"`          // text: "30s", "1h30m", "14d"
//	Max     int           `config:"events.max_bytes"`      // …bytes: "1MiB", "64KiB", "100"
//	Secret  string        `config:"auth.secret" secret:"true"`
//
// Fields are string, bool, integers, float64, time.Duration and []string (a list,
// or text with commas). Structs inside are followed. What has a method
// Validate() error is asked once everything is set.
//
// A key that no struct has is an error in a file or flag (unknown_config_key), and
// a warning in the environment, where strangers also write.
package config
