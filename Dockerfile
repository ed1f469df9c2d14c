# From source:              docker build -t demarc .
# Around a binary you have: docker build -t demarc --target prebuilt --build-arg BINARY=demarc FOLDER-OF-THE-BINARY -f Dockerfile
# `make image` does the second with docker or buildah.
ARG RUST=1.95

FROM scratch AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="demarc" \
      org.opencontainers.image.description="Who owes a security control in each namespace, enforced at admission and reported as drift" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://demarc.dev" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# By number, for a kubelet that checks runAsNonRoot; it writes nothing, so the root may be read-only.
USER 65532:65532
ENTRYPOINT ["/demarc"]

FROM base AS prebuilt
ARG BINARY=demarc
COPY ${BINARY} /demarc

# After `prebuilt`, for builders that build every stage before the one they are asked for.
FROM rust:${RUST} AS build
WORKDIR /demarc
COPY . .
RUN hack/static.sh /out/demarc

FROM base
COPY --from=build /out/demarc /demarc
