set -eu
cat >predicate.json <<EOF
{
  "buildDefinition": {
    "buildType": "$CARNET_SOURCE/-/build@v1",
    "externalParameters": { "ref": "$CARNET_REF" },
    "resolvedDependencies": [
      { "uri": "git+$CARNET_SOURCE", "digest": { "sha1": "$CARNET_COMMIT" } }
    ]
  },
  "runDetails": {
    "builder": { "id": "$CARNET_BUILDER" },
    "metadata": {
      "invocationId": "$CARNET_RUN",
      "startedOn": "$CARNET_STARTED",
      "finishedOn": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    }
  }
}
EOF
cosign attest --yes ${COSIGN_OPTIONS:-} --predicate predicate.json \
  --type https://slsa.dev/provenance/v1 "$CARNET_IMAGE"
