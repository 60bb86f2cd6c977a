# shellcheck shell=bash
# shellcheck disable=SC2154 # the stub sets line and cluster
# What the stubs of docs/commands_test.go answer: a cloud and a cluster in good health. Everything else is answered by
# nothing, and with 0. It is part of each stub, which has set $line, the whole call, and $cluster, the address of a real server.
subscription=00000000-0000-0000-0000-000000000001
case "$line" in
'docker inspect '*) reference=${!#} && echo "${reference%:*}@sha256:$(printf '0%.0s' {1..64})" ;;
'docker pull '*) [ -e "$RECORD.pushed" ] ;; # before the push there is nothing
'docker push '*) touch "$RECORD.pushed" ;;

'gh api repos/'*) echo 456789 123456 ;;
'gcloud config get-value project') echo my-mlops-project ;;
'gcloud projects describe '*projectNumber*) echo 123456789012 ;;
'gcloud iam service-accounts describe telemetry-access@'*) echo telemetry-access@my-mlops-project.iam.gserviceaccount.com ;;
'gcloud iam service-accounts get-iam-policy telemetry-access@'*)
  echo '{"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": ['
  printf '  "serviceAccount:my-mlops-project.svc.id.goog[%s/telemetry-access]",\n' default iris-dev iris-staging iris-prod
  echo '  "serviceAccount:my-mlops-project.svc.id.goog[iris-preview/telemetry-access]"]}]}'
  ;;
'gcloud logging read '*limit=1' '*) echo '[{}]' ;;
'gcloud iam service-accounts keys create '*) echo '{}' >"$5" ;;
'gcloud auth print-access-token') echo token ;;
'curl '*cloudtrace.googleapis.com*) echo '{"traces": [{"projectId": "my-mlops-project", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"}]}' ;;

'aws sts get-caller-identity '*) echo 123456789012 ;;
'aws iam get-role --role-name telemetry-access --query Role.Arn '*) echo arn:aws:iam::123456789012:role/telemetry-access ;;
'aws iam get-role --role-name telemetry-access '*) echo '{"Condition": {"StringEquals": {"oidc:sub": ["system:serviceaccount:iris-dev:telemetry-access"]}}}' ;;
'aws iam get-role --role-name mlops-standard-balancer '*) echo arn:aws:iam::123456789012:role/mlops-standard-balancer ;;
'aws logs filter-log-events '*max-items' 1') echo '{"events": [{}]}' ;;
'aws eks describe-cluster '*vpcId*) echo vpc-0123456789abcdef0 ;;
'aws eks describe-cluster '*oidc*) echo https://oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF ;;

'az account show '*) echo "$subscription" ;;
'az ad signed-in-user show '*) echo 00000000-0000-0000-0000-000000000004 ;;
'az identity show '*clientId*) echo 00000000-0000-0000-0000-000000000002 ;;
'az identity show '*principalId*) echo 00000000-0000-0000-0000-000000000003 ;;
'az identity federated-credential list '*)
  printf '[%s]\n' "$(printf '{"subject": "system:serviceaccount:%s:telemetry-access"},' default iris-dev iris-staging iris-prod | sed 's/$/{"subject": "system:serviceaccount:iris-preview:telemetry-access"}/')"
  ;;
'az aks show '*oidc*) echo https://westus2.oic.prod-aks.azure.com/tenant/cluster/ ;;
'az network vnet subnet show '*) echo "/subscriptions/$subscription/resourceGroups/my-aks-rg/providers/Microsoft.Network/virtualNetworks/mlops-auto/subnets/nodes" ;;
'az acr show '*) echo "/subscriptions/$subscription/resourceGroups/my-aks-rg/providers/Microsoft.ContainerRegistry/registries/mlopsImages" ;;
'az aks show '*json) echo '{"powerState": {"code": "Running"}, "provisioningState": "Succeeded"}' ;;
'az aks show '*) echo "/subscriptions/$subscription/resourceGroups/my-aks-rg/providers/Microsoft.ContainerService/managedClusters/mlops-standard" ;;
'az monitor log-analytics query '*'take 1') echo '[{}]' ;;
'az monitor log-analytics query '*) echo '[]' ;;
'az monitor app-insights query '*) echo '{"tables": [{"rows": []}]}' ;;
'az monitor app-insights '*) echo "/subscriptions/$subscription/resourceGroups/my-aks-rg/providers/Microsoft.Insights/components/mlops-standard" ;;

'terraform '*' state list') echo google_container_cluster.standard ;;
'terraform '*' output -json github_variables') echo '{"CLOUD_PROJECT_ID": "my-mlops-project", "CLUSTER_NAME": "mlops-standard"}' ;;
'terraform '*' output -raw image') echo us-central1-docker.pkg.dev/my-mlops-project/mlops-images/iris ;;

'kubectl config current-context') echo gke_my-mlops-project_us-central1_mlops-standard ;;
'kubectl '*port-forward*)
  echo "Forwarding from 127.0.0.1:${cluster#*:} -> 8000"
  exec sleep 30
  ;;
'kubectl '*'ingress[0].ip'*) echo "$cluster" ;;
'kubectl '*spec.type*) echo LoadBalancer ;;
'kubectl logs identity-check '*) echo '{"access_token":"(not shown)","expires_in":3599,"token_type":"Bearer"} telemetry-access@my-mlops-project.iam.gserviceaccount.com arn:aws:sts::123456789012:assumed-role/telemetry-access/session 00000000-0000-0000-0000-000000000002' ;;
'kubectl get serviceaccount telemetry-access '*json)
  echo '{"metadata": {"annotations": {"iam.gke.io/gcp-service-account": "telemetry-access@my-mlops-project.iam.gserviceaccount.com",
    "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/telemetry-access",
    "azure.workload.identity/client-id": "00000000-0000-0000-0000-000000000002"}}}'
  ;;
'kubectl get hpa '*json) echo '{"items": []}' ;;
esac
