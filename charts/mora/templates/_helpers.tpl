{{/* The name that every object's name begins with: the release's, with "mora" in it. */}}
{{- define "mora.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "mora" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mora" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Given: a dict of root and, where there is one, component. */}}
{{- define "mora.labels" -}}
{{ include "mora.selector" . }}
app.kubernetes.io/part-of: mora
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* What selectors match: these never change. */}}
{{- define "mora.selector" -}}
app.kubernetes.io/name: mora
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod. */}}
{{- define "mora.podLabels" -}}
{{ include "mora.selector" . }}
app.kubernetes.io/part-of: mora
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The image: full where a component trains, slim for all else. Given: a dict of root and full (true or false). */}}
{{- define "mora.image" -}}
{{- $image := .root.Values.image -}}
{{- $tag := $image.tag | default .root.Chart.AppVersion -}}
{{- $repository := $image.repository -}}
{{- with $image.registry }}{{ $repository = printf "%s/%s" . $image.repository }}{{ end -}}
{{- if .full -}}
{{ $repository }}:{{ $tag }}
{{- else -}}
{{ $repository }}:{{ $image.slimTag | default (printf "%s-slim" $tag) }}
{{- end -}}
{{- end -}}

{{/* Of every pod: who it runs as, where it may run. Given: a dict of root and component. */}}
{{- define "mora.podSettings" -}}
serviceAccountName: {{ include "mora.fullname" .root }}-{{ .component }}
# Otherwise Kubernetes sets variables for Services whose names begin like MOrA's settings.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of every container: what it may do. */}}
{{- define "mora.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{/* Variables beside the ConfigMap: your own, and the password of Prometheus, but for the digest, which asks none. */}}
{{- define "mora.env" -}}
{{- $asks := ne .component "digest" }}
{{- with .root.Values.prometheus.password }}
{{- if and .secret $asks }}
- name: MORA_PROMETHEUS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The settings of a component, by their variables. */}}
{{- define "mora.settings" -}}
MORA_PROMETHEUS_URL: {{ .Values.prometheus.url | quote }}
{{- with .Values.prometheus.username }}
MORA_PROMETHEUS_USERNAME: {{ . | quote }}
{{- end }}
{{- if .Values.prometheus.token.secret }}
MORA_PROMETHEUS_TOKEN_FILE: /var/run/secrets/prometheus/{{ .Values.prometheus.token.key }}
{{- end }}
{{- if .Values.config }}
MORA_CONFIG: /etc/mora/mora.toml
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Volumes and mounts that every component has beside its own. */}}
{{- define "mora.volumes" -}}
{{- if .root.Values.config }}
- name: config
  configMap:
    name: {{ include "mora.fullname" .root }}-config
{{- end }}
{{- $asks := ne .component "digest" }}
{{- with .root.Values.prometheus.token }}
{{- if and .secret $asks }}
- name: prometheus-token
  secret:
    secretName: {{ .secret }}
{{- end }}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mora.volumeMounts" -}}
{{- if .root.Values.config }}
- name: config
  mountPath: /etc/mora
  readOnly: true
{{- end }}
{{- if and .root.Values.prometheus.token.secret (ne .component "digest") }}
- name: prometheus-token
  mountPath: /var/run/secrets/prometheus
  readOnly: true
{{- end }}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Role or ClusterRole, as `scope` says. */}}
{{- define "mora.roleKind" -}}
{{- eq .Values.scope "cluster" | ternary "ClusterRole" "Role" -}}
{{- end -}}

{{/* The one subject of a binding. Given: a dict of root and account. A ClusterRoleBinding needs its namespace. */}}
{{- define "mora.subject" -}}
- kind: ServiceAccount
  name: {{ .account }}
  {{- if .wide }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
{{- end -}}

{{/* A binding of a component's account to what MOrA may read. Given: a dict of root and component. */}}
{{- define "mora.readerBinding" -}}
{{- $name := include "mora.fullname" .root -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ include "mora.roleKind" .root }}Binding
metadata:
  name: {{ $name }}-{{ .component }}-reader
  labels:
    {{- include "mora.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ include "mora.roleKind" .root }}
  name: {{ $name }}-reader
subjects:
  {{- include "mora.subject" (dict "root" .root "account" (printf "%s-%s" $name .component) "wide" (eq .root.Values.scope "cluster")) | nindent 2 }}
{{- end -}}

{{- define "mora.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "mora.fullname" .root }}-{{ .component }}
  labels:
    {{- include "mora.labels" . | nindent 4 }}
  {{- with .root.Values.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Out: DNS, the API server, Prometheus. */}}
{{- define "mora.egress" -}}
- ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
- ports:
    - protocol: TCP
      port: 443
    - protocol: TCP
      port: 6443
- to:
    {{- toYaml .Values.networkPolicy.prometheus.to | nindent 4 }}
  ports:
    - protocol: TCP
      port: {{ .Values.networkPolicy.prometheus.port }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
