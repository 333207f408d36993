#!/usr/bin/env bash
# Builds the image of the Dockerfile and runs three nodes from it, on a machine
# that can neither pull base images nor start a container engine: the base images
# are made here, by debootstrap and from the Go toolchain that is installed, under
# the names that the Dockerfile uses. Needs root, podman, buildah and debootstrap.
# Run it by hand:  bash e2e/docker.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
work=$(mktemp -d)
pids=()
cleanup() {
  for p in "${pids[@]}"; do pkill -TERM -P "$p" 2>/dev/null || true; done
  wait || true
  rm -rf "$work"
}
trap cleanup EXIT

bases() {
  debootstrap --variant=minbase bookworm "$work/root" >"$work/debootstrap.log"
  chroot "$work/root" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev ca-certificates' >"$work/apt.log" 2>&1
  local c
  c=$(buildah from scratch)
  buildah copy -q "$c" "$work/root" / >/dev/null
  buildah commit -q "$c" docker.io/library/debian:bookworm-slim >/dev/null
  buildah copy -q "$c" "$(go env GOROOT)" /usr/local/go >/dev/null
  buildah copy -q "$c" /etc/ssl/certs /etc/ssl/certs >/dev/null
  buildah config --env PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOTOOLCHAIN=local "$c"
  buildah commit -q "$c" docker.io/library/golang:1.26-bookworm >/dev/null
  buildah rm "$c" >/dev/null
}
buildah inspect docker.io/library/golang:1.26-bookworm >/dev/null 2>&1 || bases
podman build --isolation=chroot --pull=never --network=host -t shoal .

mkdir "$work/invite" && chown 1000:1000 "$work/invite"
# node NAME HTTP P2P [-e VARIABLE=VALUE]…: what compose.yaml does for a service.
node() {
  local name=$1 http=$2 p2p=$3
  shift 3
  mkdir "$work/$name" && chown 1000:1000 "$work/$name"
  buildah run --isolation=chroot --user 1000:1000 -v "$work/$name:/data" -v "$work/invite:/invite" \
    -v "$PWD/p2p/node/samples:/documents:ro" -e SHOAL_DATA=/data -e SHOAL_TOKEN=only-for-this-test \
    -e SHOAL_HTTP="0.0.0.0:$http" -e SHOAL_P2P="0.0.0.0:$p2p" -e SHOAL_OPEN_READS=127.0.0.0/8 "$@" \
    "$(buildah from --pull-never localhost/shoal)" -- shoal serve --name "$name" >"$work/$name.log" 2>&1 &
  pids+=($!)
}
node alice 9281 9291 -e SHOAL_INVITE_FILE=/invite/link -e SHOAL_FOLDERS=/documents
for _ in $(seq 100); do curl -sf localhost:9281/healthz >/dev/null && break || sleep 0.2; done
node bob 9282 9292 -e SHOAL_JOIN=@/invite/link
node chiara 9283 9293 -e SHOAL_JOIN=@/invite/link
for _ in $(seq 100); do
  answer=$(curl -sf 'localhost:9283/api/search?q=netwrk&limit=1' || true)
  case "$answer" in *'"nodes_answered":3'*'"node_name":"alice"'* | *'"node_name":"alice"'*'"nodes_answered":3'*)
    echo "three containers answer: $answer"
    exit 0
    ;;
  esac
  sleep 0.2
done
echo "no answer from three nodes; the last one was: $answer" >&2
tail -n 20 "$work"/*.log >&2
exit 1
