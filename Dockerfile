# One image for all services: `docker compose` runs it once for each, with another command.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 TOLLGATE_SPOOL_DIR=/var/lib/tollgate/spool
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY shared ./shared
COPY services ./services
COPY policies ./policies
COPY dev/sample/upstream.ts ./dev/sample/upstream.ts
COPY dev/sample/ai ./dev/sample/ai
# A volume mounted here begins as this folder, with its owner.
RUN mkdir -p /var/lib/tollgate/spool && chown -R node:node /var/lib/tollgate
USER node
CMD ["node", "services/gateway/main.ts"]
