set -eu
cosign sign --yes ${COSIGN_OPTIONS:-} "$CARNET_IMAGE"
