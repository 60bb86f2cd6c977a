# Completion of tepal for bash. `tepal completion --help` says where it goes.
_tepal() {
  local -a words
  local current value files=
  # Not COMP_WORDS, which bash has split at = and : too. A backslash keeps a space.
  # shellcheck disable=SC2162
  IFS=$' \t\n' read -a words <<<"${COMP_LINE:0:COMP_POINT}"
  case ${COMP_LINE:0:COMP_POINT} in
  *[[:space:]]) words+=('') ;;
  esac
  current=${words[${#words[@]} - 1]}
  COMPREPLY=()
  while IFS=$'\t' read -r value _; do
    if [ "$value" = :files ]; then
      files=1
    else
      # Bash replaces what follows the last of its breaks, and no more.
      COMPREPLY+=("${value#"${current%"${current##*["$COMP_WORDBREAKS"]}"}"}")
    fi
  done < <("${1/#\~\//$HOME/}" complete -- "${words[@]:1}" 2>/dev/null)
  # Files are what readline offers by default when there is no candidate.
  [ -n "$files" ] || compopt +o default 2>/dev/null
}
complete -o default -F _tepal tepal
