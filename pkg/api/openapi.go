package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/belfry-events/belfry/pkg/fault"
	"github.com/belfry-events/belfry/pkg/subject"
	"github.com/belfry-events/belfry/proto"
)

// object is a JSON object of the description; encoding/json sorts its names, so
// that the same contract always gives the same text.
type object = map[string]any

// OpenAPI describes everything mounted so far as OpenAPI 3.1: each method with
// its comment in the contract, each plain route, the messages, and the errors.
func (m *Mux) OpenAPI() ([]byte, error) {
	d := describer{schemas: object{
		"Fault": object{
			"type": "object", "description": "What went wrong, the body of every error of a plain route.",
			"required": []string{"code", "message"},
			"properties": object{
				"code":    object{"type": "string", "description": "Stable.", "enum": allCodes()},
				"message": object{"type": "string", "description": "For people."},
				"details": object{"type": "object", "description": `For programs, such as {"field":"cursor"}.`, "additionalProperties": object{"type": "string"}},
			},
		},
		"RPCError": object{
			"type":        "object",
			"description": "An error of the Connect protocol. The header Belfry-Fault, and the detail of type belfry.fault.v1.Fault, say which fault it is.",
			"properties": object{
				"code": object{"type": "string"}, "message": object{"type": "string"},
				"details": object{"type": "array", "items": object{"type": "object"}},
			},
		},
	}}
	paths, tags := object{}, []object{}
	for _, s := range m.services {
		about := proto.Comment(string(s.Contract.FullName()))
		if i := slices.IndexFunc(tags, func(t object) bool { return t["name"] == s.short }); i >= 0 { // a part of two contracts
			tags[i]["description"] = fmt.Sprint(tags[i]["description"], "\n\n", about)
		} else {
			tags = append(tags, object{"name": s.short, "description": about})
		}
		for i := range s.Contract.Methods().Len() {
			me := s.Contract.Methods().Get(i)
			for _, r := range s.Routes {
				if r.Method == string(me.Name()) {
					method, path, _ := strings.Cut(r.Pattern, " ")
					item, _ := paths[path].(object)
					if item == nil {
						item = object{}
					}
					item[strings.ToLower(method)] = d.route(s, me, r)
					paths[path] = item
				}
			}
			paths["/"+string(s.Contract.FullName())+"/"+string(me.Name())] = object{"post": d.rpc(s, me)}
		}
	}
	return json.Marshal(object{
		"openapi": "3.1.1",
		"info": object{
			"title": "Belfry", "version": "v1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Every method also answers as a NATS request, on the subject that it names (x-nats-subject), with the header Authorization.",
		},
		"paths": paths, "tags": tags,
		"security": []object{{"token": []string{}}},
		"components": object{
			"schemas":         d.schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
		"x-faults": faults(),
	})
}

// allCodes are all codes, sorted.
func allCodes() []string {
	var all []string
	for _, c := range fault.Codes() {
		all = append(all, string(c))
	}
	slices.Sort(all)
	return all
}

// faults is the table of errors.
func faults() []object {
	var all []object
	for _, c := range allCodes() {
		code := fault.Code(c)
		all = append(all, object{
			"code": c, "kind": code.Kind().String(), "status": code.HTTPStatus(),
			"connect": code.ConnectCode().String(), "close": code.CloseCode(),
		})
	}
	return all
}

type describer struct{ schemas object }

func (d describer) rpc(s *service, me protoreflect.MethodDescriptor) object {
	op := d.operation(s, me, "rpc."+s.short+"."+string(me.Name()), "RPCError")
	op["requestBody"] = body(object{"application/json": object{"schema": d.ref(me.Input())}})
	return op
}

func (d describer) route(s *service, me protoreflect.MethodDescriptor, r Route) object {
	method, path, _ := strings.Cut(r.Pattern, " ")
	op := d.operation(s, me, strings.ToLower(method)+strings.NewReplacer("/", ".", "{", "", "}", "").Replace(path), "Fault")
	op["x-route-of"] = string(me.Name())
	if r.About != "" {
		op["description"] = proto.Comment(string(me.FullName())) + "\n\n" + r.About
	}
	var parameters []object
	inPath := wildcards(r.Pattern)
	fields := me.Input().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		where := "query"
		if slices.Contains(inPath, f.JSONName()) {
			where = "path"
		} else if method != "GET" && method != "DELETE" {
			continue
		}
		parameters = append(parameters, object{
			"name": f.JSONName(), "in": where, "required": where == "path",
			"description": proto.Comment(string(f.FullName())), "schema": d.value(f),
		})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	switch {
	case method == "GET", method == "DELETE":
	case r.Takes != nil:
		content := object{}
		for _, t := range r.Takes {
			content[t.Type] = object{"schema": object{"description": t.About}, "example": json.RawMessage(t.Example)}
		}
		op["requestBody"] = body(content)
	default:
		op["requestBody"] = body(object{"application/json": object{"schema": d.ref(me.Input())}})
	}
	return op
}

func body(content object) object { return object{"required": true, "content": content} }

// operation is what a method and its plain routes have in common.
func (d describer) operation(s *service, me protoreflect.MethodDescriptor, id, failure string) object {
	about := proto.Comment(string(me.FullName()))
	summary, _, _ := strings.Cut(about, ".")
	return object{
		"operationId": id, "tags": []string{s.short},
		"summary": strings.Join(strings.Fields(summary), " "), "description": about,
		"x-nats-subject": subject.Service(s.short, string(me.Name())),
		"responses": object{
			"200":     object{"description": proto.Comment(string(me.Output().FullName())), "content": object{"application/json": object{"schema": d.ref(me.Output())}}},
			"default": object{"description": "An error; see x-faults.", "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/" + failure}}}},
		},
	}
}

// ref refers to a message and describes it once.
func (d describer) ref(msg protoreflect.MessageDescriptor) object {
	switch msg.FullName() {
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}
	case "google.protobuf.Duration":
		return object{"type": "string", "description": "Seconds, with an s behind: 1.5s."}
	}
	if wellKnown(msg) {
		return object{}
	}
	name := string(msg.Name())
	if _, known := d.schemas[name]; !known {
		schema := object{"type": "object", "description": proto.Comment(string(msg.FullName()))}
		d.schemas[name] = schema
		if spliced(msg) != nil {
			schema["externalDocs"] = object{"url": "https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md"}
			schema["additionalProperties"] = true
			return object{"$ref": "#/components/schemas/" + name}
		}
		properties, order := object{}, []string{}
		for i := range msg.Fields().Len() {
			f := msg.Fields().Get(i)
			p := d.value(f)
			if about := proto.Comment(string(f.FullName())); about != "" {
				p["description"] = about
			}
			properties[f.JSONName()] = p
			order = append(order, f.JSONName())
		}
		schema["properties"], schema["additionalProperties"], schema["x-order"] = properties, false, order
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// value is the schema of a field.
func (d describer) value(f protoreflect.FieldDescriptor) object {
	switch {
	case f.IsMap():
		return object{"type": "object", "additionalProperties": d.single(f.MapValue())}
	case f.IsList():
		return object{"type": "array", "items": d.single(f)}
	}
	return d.single(f)
}

func (d describer) single(f protoreflect.FieldDescriptor) object {
	switch f.Kind() { //nolint:exhaustive // checkContract refuses the others
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"type": "number"}
	case protoreflect.EnumKind:
		var names []string
		for i := range f.Enum().Values().Len() {
			names = append(names, string(f.Enum().Values().Get(i).Name()))
		}
		return object{"type": "string", "enum": names}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return d.ref(f.Message())
	}
	return object{"type": "string"}
}
