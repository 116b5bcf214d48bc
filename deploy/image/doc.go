// Command image writes the container image of one program as an OCI archive,
// without a container engine and without a registry:
//
//	go run ./deploy/image -program gateway -binary bin/linux/gateway -ref belfry/gateway:0.1.0 -out gateway.tar
//
// The image is what deploy/Dockerfile makes: nothing but the static binary, on
// no base, run by a user without rights. It is reproducible: the same binary and
// the same arguments give the same bytes, whoever runs it and whenever. The archive
// holds an OCI image layout (image-spec v1.1), which "ctr images import", "podman
// load" and "skopeo copy oci-archive:" take.
package main
