{{/* What the pods of gateway and conductor share. By the restricted Pod Security Standard. */}}
{{- define "maestro.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "maestro.container" -}}
image: {{ include "maestro.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "maestro.name" . }}
  - secretRef:
      name: {{ .Values.secretName }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: home
    mountPath: /var/lib/maestro
  - name: temporary
    mountPath: /tmp
  - name: settings
    mountPath: /var/lib/maestro/server.yaml
    subPath: server.yaml
    readOnly: true
{{- end }}

{{- define "maestro.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "maestro.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end }}
