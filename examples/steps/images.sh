set -eu
cat >images.yaml <<EOF
---
components:
  - name: app
    containerImage: "$CARNET_IMAGE"
    source:
      git:
        url: "$CARNET_SOURCE"
        revision: "$CARNET_COMMIT"
EOF
