#!/bin/sh
# Unpacks the headers for docs/deploy-cpp.md into `include` beside this file: of two packages of Debian, which aren't
# installed, from the mirror that this machine uses. The library is that of the Python package, which may be newer.
set -eu
cd "$(dirname "$0")"
trap 'rm -rf unpacked package.deb' EXIT
rm -rf include
mirror=$(apt-get update --print-uris | sed -n "s|^'\(.*/debian/\)dists/.*|\1|p" | head -n 1)
while read -r hash path; do
  /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file "${mirror}pool/main/$path" package.deb "SHA256:$hash"
  dpkg-deb --extract package.deb unpacked
done < packages.txt
mv unpacked/usr/include include
touch include
