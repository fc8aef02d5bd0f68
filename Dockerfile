# syntax=docker/dockerfile:1
# Two images from one file:
#   docker build --target vippsauth -t vippsauth .          the standalone service
#   docker build --target caddy     -t vippsauth-caddy .    Caddy with the module built in
# Both are one static binary in an empty image, run by a user without a name, and need no writable root file system.

FROM golang:1.26-bookworm AS source
ENV GOCACHE=/go/build-cache
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# What an empty image lacks: the certificate authorities, and directories that the user may write to.
RUN mkdir -p /out/data /out/config /out/keys /out/tmp && chmod 1777 /out/tmp

FROM source AS build-vippsauth
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.defaultListen=:4190 -X main.defaultOpsListen=:4191" -o /out/vippsauth ./cmd/vippsauth

FROM source AS build-caddy
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/caddy ./cmd/caddy

FROM scratch AS base
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=source /usr/local/go/lib/time/zoneinfo.zip /usr/local/go/lib/time/zoneinfo.zip
COPY --from=source --chown=65532:65532 /out/tmp /tmp
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt ZONEINFO=/usr/local/go/lib/time/zoneinfo.zip
USER 65532:65532

FROM base AS caddy
COPY --from=build-caddy /out/caddy /caddy
COPY --from=source --chown=65532:65532 /out/data /data
COPY --from=source --chown=65532:65532 /out/config /config
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config HOME=/data
# /data holds certificates, the cookie keys and the ended sessions: lose it and everybody logs in anew.
VOLUME ["/data", "/config"]
# Container engines let any user listen on 80 and 443; where yours doesn't, set http_port and https_port. There is no
# HEALTHCHECK, since what can be asked is what the Caddyfile serves.
EXPOSE 80 443 443/udp
ENTRYPOINT ["/caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

# The last stage is the one that a build without --target makes.
FROM base AS vippsauth
COPY --from=build-vippsauth /out/vippsauth /vippsauth
# For cookie_keys_file=/keys/cookie.keys: a volume here keeps sessions, and logouts, across a new container.
COPY --from=source --chown=65532:65532 /out/keys /keys
# 4191 is health and metrics: for the orchestrator, never for browsers.
EXPOSE 4190 4191
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/vippsauth", "healthcheck"]
ENTRYPOINT ["/vippsauth"]
CMD ["serve"]
