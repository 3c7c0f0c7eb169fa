# One build, three images:
#   docker build --target user-api -t user-api .
#   docker build --target email-worker -t email-worker .
#   docker build --target mail-api -t mail-api .
# PROFILE=dev builds unoptimised, for the inner loop; release is what is shipped.
# The toolchain is the one in rust-toolchain.toml: that file stays outside, or rustup would fetch the toolchain once more.
ARG RUST=1.95
# `build` compiles; `given` takes what was compiled elsewhere, for a system as old as the base below: out/ is all of the context then.
ARG BINARIES=build

FROM rust:${RUST}-bookworm AS build
ARG PROFILE=release
# Line tables are for profilers: they would double the image.
ENV CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /src
COPY . .
# The caches stay on the machine that builds; a binary in one is gone after the step, so it is copied out.
RUN --mount=type=cache,id=sluice-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=sluice-target-${PROFILE},target=/src/target,sharing=locked \
    cargo build --locked --profile "${PROFILE}" -p user-api -p email-worker -p mail-api \
 && directory="${PROFILE}" && if [ "${PROFILE}" = dev ]; then directory=debug; fi \
 && install -D -t /out "target/${directory}/user-api" "target/${directory}/email-worker" "target/${directory}/mail-api"

FROM scratch AS given
COPY out /out

# hadolint ignore=DL3006
FROM ${BINARIES} AS binaries

# glibc, certificates and time zones; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot AS base
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
ARG SOURCE=https://github.com/sluice-mail/sluice
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.vendor=Sluice \
      org.opencontainers.image.licenses=Apache-2.0
# By number, so that a cluster can see that it is not root.
USER 65532:65532
# Health and admin; user-api and mail-api serve 8080 as well.
EXPOSE 9090

FROM base AS user-api
LABEL org.opencontainers.image.title=user-api \
      org.opencontainers.image.description="Takes registrations over HTTP and relays their mail tasks to the queue"
COPY --from=binaries /out/user-api /usr/local/bin/user-api
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/user-api"]

FROM base AS mail-api
LABEL org.opencontainers.image.title=mail-api \
      org.opencontainers.image.description="Takes mails over HTTP, or relays the outbox in an application's own database to the queue"
COPY --from=binaries /out/mail-api /usr/local/bin/mail-api
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/mail-api"]

FROM base AS email-worker
LABEL org.opencontainers.image.title=email-worker \
      org.opencontainers.image.description="Takes mail tasks off the queue and sends each mail once, at the rate the mail server bears"
COPY --from=binaries /out/email-worker /usr/local/bin/email-worker
ENTRYPOINT ["/usr/local/bin/email-worker"]
