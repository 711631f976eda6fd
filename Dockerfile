# One image for all services: `docker compose` runs it once for each, with another command.
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM ${NODE_IMAGE} AS sources
WORKDIR /app
COPY package.json ./
COPY shared ./shared
COPY services ./services
COPY policies ./policies
COPY dev/sample ./dev/sample
# A clone under umask 077 has files that only their owner can read, and COPY keeps these modes.
RUN chmod -R a+rX .

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 TOLLGATE_SPOOL_DIR=/var/lib/tollgate/spool
COPY --from=packages /app/node_modules ./node_modules
COPY --from=sources /app ./
# A volume mounted here begins as this folder, with its owner.
RUN mkdir -p /var/lib/tollgate/spool && chown -R node:node /var/lib/tollgate
USER node
CMD ["node", "services/gateway/main.ts"]
