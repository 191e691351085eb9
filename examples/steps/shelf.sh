set -eu
status=0
number=0
mkdir -p "$CARNET_REPORTS"
for archive in "$CARNET_SHELF"/*.carnet.tar; do
  [ -e "$archive" ] || { echo "no archive in $CARNET_SHELF" >&2; exit 2; }
  mine=$((number % CARNET_PODS))
  number=$((number + 1))
  [ "$mine" = "$JOB_COMPLETION_INDEX" ] || continue
  name=$(basename "$archive" .carnet.tar)
  ended=0
  carnet verify "$archive" --images "$CARNET_EXPECTED/$name.images.yaml" \
    --policy "$CARNET_EXPECTED/policy.yaml" ${CARNET_TRUST:-} \
    --output "json=$CARNET_REPORTS/$name.json" --output text || ended=$?
  echo "$name: status $ended"
  [ "$ended" -le "$status" ] || status=$ended
done
exit "$status"
