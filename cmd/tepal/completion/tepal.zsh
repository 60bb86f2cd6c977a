#compdef tepal
# Completion of tepal for zsh. `tepal completion --help` says where it goes.
_tepal() {
  local line value
  local -a candidates
  for line in "${(@f)$(${~words[1]} complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      compset -P '--*='
      _files
      return
    fi
    # A colon parts the candidate from what it means.
    value=${line%%$'\t'*}
    [[ -n $value ]] && candidates+=("${value//:/\\:}:${${line#"$value"}#$'\t'}")
  done
  _describe tepal candidates
}
if [[ ${funcstack[1]} == _tepal ]]; then
  _tepal "$@" # loaded from $fpath, to complete at once
else
  compdef _tepal tepal
fi
