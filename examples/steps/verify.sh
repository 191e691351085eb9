set -eu
unset CI_JOB_TOKEN CI_REGISTRY_PASSWORD DOCKER_AUTH_CONFIG GITHUB_TOKEN
case "$CARNET_RULES_BY" in
  bundle-id) bound="--bundle-id $CARNET_BUNDLE_ID" ;;
  policy-lock) bound="--policy-lock policy-lock.json" ;;
  *) echo "CARNET_RULES_BY is bundle-id or policy-lock" >&2; exit 2 ;;
esac
carnet verify app.carnet.tar --images images.yaml --policy policy.yaml \
  ${CARNET_TRUST:-} $bound --show-successes \
  --output text --output yaml=report.yaml --output junit=report.xml
