{{- define "tollgate.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tollgate.labels" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "tollgate.selector" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "tollgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tollgate.secret" -}}
{{- required "existingSecret is the name of the Secret with the tokens and passwords; see docs/deploy.md" .Values.existingSecret -}}
{{- end -}}

{{/* Environment of every process: servers, names, and the passwords of the secret. */}}
{{- define "tollgate.serverEnv" -}}
- { name: KAFKA_BROKERS, value: {{ required "kafka.brokers is needed, host:port, comma-separated" .Values.kafka.brokers | quote }} }
- { name: TOLLGATE_TOPIC_PREFIX, value: {{ .Values.kafka.topicPrefix | quote }} }
{{- if .Values.kafka.ssl }}
- { name: KAFKA_SSL, value: "true" }
{{- end }}
{{- if .Values.kafka.saslMechanism }}
- { name: KAFKA_SASL_MECHANISM, value: {{ .Values.kafka.saslMechanism | quote }} }
- { name: KAFKA_SASL_USERNAME, value: {{ .Values.kafka.saslUsername | quote }} }
- name: KAFKA_SASL_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "tollgate.secret" . }}, key: KAFKA_SASL_PASSWORD } }
{{- end }}
- { name: CLICKHOUSE_URL, value: {{ required "clickhouse.url is needed" .Values.clickhouse.url | quote }} }
- { name: CLICKHOUSE_DATABASE, value: {{ .Values.clickhouse.database | quote }} }
- { name: CLICKHOUSE_USER, value: {{ .Values.clickhouse.user | quote }} }
- name: CLICKHOUSE_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "tollgate.secret" . }}, key: CLICKHOUSE_PASSWORD, optional: true } }
- { name: CLICKHOUSE_CLUSTER, value: {{ .Values.clickhouse.cluster | quote }} }
- { name: TOLLGATE_RAW_RETENTION_DAYS, value: {{ .Values.rawRetentionDays | quote }} }
{{- end -}}

{{/* Environment of one service. Each service gets only the secrets that it reads. */}}
{{- define "tollgate.env" -}}
{{- $secret := include "tollgate.secret" .root -}}
- { name: HOST, value: "::" }
{{ include "tollgate.serverEnv" .root }}
{{- if ne .component "aggregator" }}
- { name: TOLLGATE_POLICY, value: /etc/tollgate/policy.yaml }
{{- with .root.Values.upstream }}
- { name: TOLLGATE_UPSTREAM, value: {{ . | quote }} }
{{- end }}
{{- range list "TOLLGATE_JWT_SECRET" "TOLLGATE_SERVICE_TOKEN" }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ . }}, optional: true } }
{{- end }}
{{- end }}
{{- if has .component (list "gateway" "reconciler" "admin" "console") }}
{{- if .root.Values.redis.url }}
- { name: REDIS_URL, value: {{ .root.Values.redis.url | quote }} }
{{- else }}
- name: REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: REDIS_URL } }
{{- end }}
{{- end }}
{{- if has .component (list "admin" "console") }}
{{- range list "TOLLGATE_ADMIN_TOKEN" "TOLLGATE_PORTAL_SECRET" }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ . }} } }
{{- end }}
{{- if .root.Values.operators }}
- { name: TOLLGATE_OPERATORS_FILE, value: /etc/tollgate-operators/operators.yaml }
{{- end }}
{{- end }}
{{- if has .component (list "admin" "console" "alerter") }}
- { name: TOLLGATE_CONSOLE_URL, value: {{ required "consoleUrl is the address at which browsers reach the console" .root.Values.consoleUrl | quote }} }
{{- end }}
{{- if has .component (list "console" "alerter") }}
{{- with .root.Values.brand.name }}
- { name: TOLLGATE_BRAND_NAME, value: {{ . | quote }} }
{{- end }}
{{- with .root.Values.brand.supportUrl }}
- { name: TOLLGATE_SUPPORT_URL, value: {{ . | quote }} }
{{- end }}
{{- end }}
{{- if eq .component "console" }}
{{- with .root.Values.oidc }}
{{- if .issuer }}
- { name: TOLLGATE_OIDC_ISSUER, value: {{ .issuer | quote }} }
- { name: TOLLGATE_OIDC_CLIENT_ID, value: {{ required "oidc.clientId is the client id at the OpenID provider" .clientId | quote }} }
- name: TOLLGATE_OIDC_CLIENT_SECRET
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: TOLLGATE_OIDC_CLIENT_SECRET, optional: true } }
- { name: TOLLGATE_OIDC_SCOPES, value: {{ .scopes | quote }} }
- { name: TOLLGATE_OIDC_ROLES_CLAIM, value: {{ .rolesClaim | quote }} }
- { name: TOLLGATE_OIDC_ROLE_MAP, value: {{ required "oidc.roleMap gives groups their role: GROUP=ROLE,GROUP=ROLE" .roleMap | quote }} }
- { name: TOLLGATE_OIDC_ALLOWED_DOMAINS, value: {{ .allowedDomains | quote }} }
- { name: TOLLGATE_TOKEN_SIGN_IN, value: {{ ternary "on" "off" .tokenSignIn | quote }} }
{{- end }}
{{- end }}
{{- end }}
{{- if eq .component "alerter" }}
- name: SMTP_URL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: SMTP_URL, optional: true } }
{{- end }}
{{- if eq .component "gateway" }}
- name: TOLLGATE_NODE
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- { name: TOLLGATE_SPOOL_DIR, value: /var/lib/tollgate/spool/events }
- name: TOLLGATE_UPSTREAM_CREDENTIAL
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: TOLLGATE_UPSTREAM_CREDENTIAL, optional: true } }
{{- end }}
{{- with .root.Values.tracing }}
{{- if .endpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }} }
- { name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio }
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ .share | quote }} }
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: OTEL_EXPORTER_OTLP_HEADERS, optional: true } }
{{- end }}
{{- end }}
{{- range $name, $value := merge (deepCopy .values.env) .root.Values.env }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end -}}

{{/* Pod of one service: security, probes, policy, spread over nodes. */}}
{{- define "tollgate.podSpec" -}}
{{- $ops := dict "gateway" 8090 "aggregator" 8091 "reconciler" 8092 "alerter" 8093 "admin" 8082 "console" 8094 -}}
{{- $port := index $ops .component -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
serviceAccountName: {{ .root.Values.serviceAccount.name | default (include "tollgate.name" .root) }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds | default 45 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- if .root.Values.topologySpread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "tollgate.selector" . | nindent 8 }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "tollgate.image" .root | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [node, services/{{ .component }}/main.ts]
    env: {{ include "tollgate.env" . | nindent 6 }}
    ports:
      - { name: ops, containerPort: {{ $port }} }
      {{- if eq .component "gateway" }}
      - { name: proxy, containerPort: 8080 }
      - { name: api, containerPort: 8081 }
      - { name: rls, containerPort: 8084 }
      {{- else if eq .component "console" }}
      - { name: console, containerPort: 8083 }
      {{- end }}
    # A start may wait for Kafka; a gateway answers without it.
    startupProbe: { httpGet: { path: /healthz, port: ops }, periodSeconds: 2, failureThreshold: 60 }
    livenessProbe: { httpGet: { path: /healthz, port: ops }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
    readinessProbe: { httpGet: { path: /readyz, port: ops }, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 2 }
    {{- if has .component (list "gateway" "admin" "console") }}
    # New connections may arrive until the endpoints are updated.
    lifecycle: { preStop: { sleep: { seconds: 5 } } }
    {{- end }}
    resources: {{ toJson .values.resources }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: { drop: [ALL] }
    volumeMounts:
      - { name: tmp, mountPath: /tmp }
      {{- if ne .component "aggregator" }}
      - { name: policy, mountPath: /etc/tollgate, readOnly: true }
      {{- end }}
      {{- if and .root.Values.operators (has .component (list "admin" "console")) }}
      - { name: operators, mountPath: /etc/tollgate-operators, readOnly: true }
      {{- end }}
      {{- if eq .component "gateway" }}
      - { name: spool, mountPath: /var/lib/tollgate/spool }
      {{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 64Mi }
  {{- if ne .component "aggregator" }}
  - name: policy
    configMap: { name: {{ include "tollgate.name" .root }}-policy }
  {{- end }}
  {{- if and .root.Values.operators (has .component (list "admin" "console")) }}
  - name: operators
    secret: { secretName: {{ include "tollgate.name" .root }}-operators, defaultMode: 0440 }
  {{- end }}
{{- end -}}
