{{/*
One step of the nightly run. Given: a dict of root, name, script (the lines of a shell script), resources, and full
where the step trains.
*/}}
{{- define "mora.nightlyStep" -}}
- name: {{ .name }}
  image: {{ include "mora.image" . }}
  {{- with .root.Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  workingDir: /mora
  command:
    - sh
    - -euc
    - |
      {{- .script | nindent 6 }}
  env:
    - name: MORA_NAMESPACE
      valueFrom:
        fieldRef:
          fieldPath: metadata.namespace
    - name: MORA_DATA_DIR
      value: /mora/data
    - name: MORA_MODELS_DIR
      value: /mora/models
    - name: HOME
      value: /tmp
    - name: MPLCONFIGDIR
      value: /tmp
    {{- with include "mora.env" . }}
    {{- . | nindent 4 }}
    {{- end }}
  envFrom:
    - configMapRef:
        name: {{ include "mora.fullname" .root }}-nightly-settings
  securityContext:
    {{- include "mora.containerSecurity" .root | nindent 4 }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  volumeMounts:
    - name: files
      mountPath: /mora
    - name: tmp
      mountPath: /tmp
    {{- with include "mora.volumeMounts" . }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}
