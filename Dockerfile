# The page is committed as web/dist, so that Go alone builds the whole program.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY migrations migrations
COPY p2p p2p
COPY server server
COPY store store
COPY web/embed.go web/embed.go
COPY web/dist web/dist
RUN CGO_ENABLED=1 go build -trimpath -ldflags="-s -w" -o /shoal .

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="shoal" \
      org.opencontainers.image.description="Makes a group of computers searchable and keeps their folders the same, with no server" \
      org.opencontainers.image.source="https://github.com/shoal-p2p/shoal" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /shoal /usr/local/bin/shoal
# A new volume takes its owner from the directory that it hides.
RUN mkdir -p /data /invite && chown 1000:1000 /data /invite
USER 1000:1000
ENV SHOAL_DATA=/data SHOAL_HTTP=0.0.0.0:8080
VOLUME /data
EXPOSE 8080/tcp 4747/tcp 4747/udp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["shoal", "health"]
ENTRYPOINT ["shoal"]
CMD ["serve"]
