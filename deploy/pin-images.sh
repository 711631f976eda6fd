#!/usr/bin/env bash
# Pins the images of docker-compose.yml by digest: queries the registry for the digest of each tag, and prints the variables
# to add to .env. An image by digest never changes; run this again to get updates.
#   deploy/pin-images.sh >> .env
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sed -nE 's/^ *image: \$\{([A-Z]+_IMAGE):-([^}]+)\}$/\1 \2/p' docker-compose.yml | while read -r variable image; do
  [ "$variable" = TOLLGATE_IMAGE ] && continue
  digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
  echo "$variable=$image@$digest"
done
