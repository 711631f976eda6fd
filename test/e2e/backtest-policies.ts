/** Limits of every kind that a backtest decides exactly, and a plan whose units are given back. */
export const policyText = `version: 1
currency: USD
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id, user: sub, plan: plan }
  anonymous: ip
  trusted_proxies: [127.0.0.0/8]
default_plan: free
plans:
  free:
    limits:
      - { name: seconds, per: tenant, limit: 15, window: 3s, burst: 20 }
      - { name: hour, per: tenant, limit: 150, window: 1h, type: quota }
    price: 0
  pro:
    limits:
      - { name: seconds, per: tenant, limit: 40, window: 6s }
      - { name: watched, per: user, limit: 10, window: 3s, mode: shadow }
    price: 49
  returned:
    limits: [{ name: seconds, per: tenant, limit: 40, window: 6s }]
    charge: { unless_status: [5xx] }
  large:
    limits: [{ name: minute, per: tenant, limit: 2000, window: 4s, lease: false }]
    price: 499
routes:
  - match: POST /chat
    limits: [{ name: chat, per: user, limit: 5, window: 3s }]
    cost: 2
    price: 0.01
  - match: GET /search/*
    limits: [{ name: search, per: ip, limit: 8, window: 3s }]
    price: 0.002
platform:
  limits: [{ name: platform, per: global, limit: 900, window: 1s, lease: false }]
exempt: { routes: [GET /health] }
services:
  - { name: internal, token_env: TOLLGATE_SERVICE_TOKEN }
`;

/** A policy that halves the limit per second of the plan pro, raises the price of chat and removes the limit of searches. */
export const proposedText = policyText
  .replace('limit: 40, window: 6s', 'limit: 20, window: 6s')
  .replace('price: 0.01', 'price: 0.03')
  .replace('limits: [{ name: search, per: ip, limit: 8, window: 3s }]', 'limits: []')
  .replace('price: 49\n', 'price: 99\n');
