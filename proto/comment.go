package proto

// Comment is the comment that stands before a service, method, message or field
// in its .proto file, without the slashes; name is its full name, such as
// "belfry.gateway.v1.GatewayService.Publish". "" = it has none.
func Comment(name string) string { return comments[name] }
