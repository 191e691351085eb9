set -eu
carnet export --images images.yaml --policy policy.yaml ${CARNET_TRUST:-} \
  --require signature,provenance --id-file bundle.id \
  --lock fetched-lock.json -o app.carnet.tar
echo "CARNET_BUNDLE_ID=$(cat bundle.id)" >carnet.env
