# The harness, for aarch64 (a DGX Spark) and x86-64:
#
#     docker build --tag spillpoint .
#     docker buildx build --platform linux/arm64,linux/amd64 --tag spillpoint .
#
# What the container needs of its host, and why, is said in compose.yaml and docs/containers.md.

# Dynamically linked against glibc, not static: NVIDIA's management library, by which the GPU is read,
# is loaded at run time, and is built for glibc.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# The caches outlive a build: a second one compiles what changed. The binary leaves the cache with cp.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --package spillpoint \
    && cp target/release/spillpoint /spillpoint

# With fio, for `run h4` and for preconditioning: docker build --target with-fio .
FROM debian:trixie-slim AS with-fio
# Any fio of the release does; a pinned one is gone from the mirror soon.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates fio \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /spillpoint /usr/bin/spillpoint
COPY targets /lab/targets
WORKDIR /lab
ENV XDG_STATE_HOME=/state
ENTRYPOINT ["spillpoint"]
CMD ["--help"]

# The default: glibc, libgcc and the certificates, and nothing else. No shell.
# Its tags name kinds, not versions.
# hadolint ignore=DL3006
FROM gcr.io/distroless/cc-debian13 AS harness
COPY --from=build /spillpoint /usr/bin/spillpoint
COPY targets /lab/targets
WORKDIR /lab
# What is remembered of this machine: the journal of what was changed and must be put back, and the
# calibration. Mount a volume, or a killed container can't be cleaned up after.
ENV XDG_STATE_HOME=/state
ENTRYPOINT ["spillpoint"]
CMD ["--help"]
