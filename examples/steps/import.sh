set -eu
case "$CARNET_RULES_BY" in
  bundle-id) bound="--bundle-id $CARNET_BUNDLE_ID" ;;
  policy-lock) bound="--policy-lock policy-lock.json" ;;
  *) echo "CARNET_RULES_BY is bundle-id or policy-lock" >&2; exit 2 ;;
esac
carnet import app.carnet.tar --to "$CARNET_TO" --tag latest --force \
  --images images.yaml --policy policy.yaml ${CARNET_TRUST:-} $bound \
  --receipt import-receipt.json
