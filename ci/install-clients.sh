#!/usr/bin/env bash
# What the tests drive for real: container clients, daemons and a registry, all from Debian's packages.
#
# As root on a Debian-like machine what is missing is installed. Elsewhere each missing program is named, with what is
# therefore not tested. With CI=true a missing program is a failure: a run that tested nothing must not look good.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# program | Debian package | what it is needed for
programs='
skopeo                 | skopeo          | pulls by skopeo
podman                 | podman          | pulls by podman
buildah                | buildah         | pulls and builds by buildah
dockerd                | docker.io       | pulls by dockerd, its builder and its registry-mirrors
docker                 | docker.io       | pulls by dockerd, its builder and its registry-mirrors
containerd             | containerd      | pulls by containerd
ctr                    | containerd      | pulls by containerd
runc                   | runc            | running what podman, dockerd and containerd have pulled
crun                   | crun            | running what podman has pulled
umoci                  | umoci           | unpacking what skopeo has pulled
iptables               | iptables        | networks of dockerd and podman
/usr/lib/podman/netavark | netavark      | networks of podman
busybox                | busybox-static  | images with a program in them
docker-registry        | docker-registry | a real registry as upstream; the benchmark
nginx                  | nginx-light     | the benchmark
cc                     | gcc             | the load client of the benchmark
/usr/include/stdio.h   | libc6-dev       | the load client of the benchmark
'

present() { command -v "$1" >/dev/null || [ -e "$1" ]; }

# Sets the lists of what is missing: package names, and lines for people.
look() {
  packages=() reasons=() # a package with two programs stands twice: apt-get does not mind
  while IFS='|' read -r program package purpose; do
    program=${program// /} package=${package// /} purpose=${purpose# }
    [ -n "$program" ] || continue
    present "$program" && continue
    packages+=("$package")
    reasons+=("${program##*/} (package $package): not tested: $purpose")
  done <<<"$programs"
}

# nginx, docker-registry and dockerd must not start as services beside the tests.
install() {
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get update -qq
  timeout 900 apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
}

look
if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${packages[*]}" >&2
  # One package that fails must not hide which programs are there and which are not.
  install "${packages[@]}" >&2 || echo "apt-get failed; going on with what is there." >&2
  look
fi
[ ${#packages[@]} -gt 0 ] || exit 0

printf 'missing: %s\n' "${reasons[@]}" >&2
if [ "${CI:-}" = true ]; then
  echo "  fix: in CI nothing may be missing; run as root on Debian, or install: ${packages[*]}" >&2
  exit 1
fi
