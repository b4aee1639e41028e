"""`make aws`: the parts of resources/aws/tickhouse.yaml that follow from the catalogue of datasets, one for each of its queues.

A part stands between `# make aws: <name>` and `# made`. The file is checked in, and a test holds it.
"""

import re
from collections.abc import Callable
from textwrap import indent

from tickhouse.compact.passes import BY_DAY
from tickhouse.provision import RETENTION_SECONDS, VISIBILITY_SECONDS
from tickhouse_core.datasets import DATASETS, QUEUES
from tickhouse_core.message_queue import MAX_RECEIVE_COUNT
from tickhouse_core.resources import RESOURCES

TEMPLATE = RESOURCES / "aws" / "tickhouse.yaml"
PART = re.compile(r"^( *)# make aws: (\w+)\n.*?^ *# made\n", re.MULTILINE | re.DOTALL)

NOTIFICATION = """\
- Event: s3:ObjectCreated:*
  Queue: !GetAtt {name}Queue.Arn
  Filter: {{ S3Key: {{ Rules: [{{ Name: prefix, Value: {prefix} }}, {{ Name: suffix, Value: .parquet }}] }} }}
"""

QUEUE = f"""\
{{name}}DeadLetters:
  Type: AWS::SQS::Queue
  Properties:
    QueueName: !Sub "{{queue}}-dlq${{{{CellSuffix}}}}"
    MessageRetentionPeriod: {RETENTION_SECONDS} # 14 days, the most there is
    SqsManagedSseEnabled: true

{{name}}Queue:
  Type: AWS::SQS::Queue
  Properties:
    QueueName: !Sub "{{queue}}${{{{CellSuffix}}}}"
    VisibilityTimeout: {VISIBILITY_SECONDS}
    MessageRetentionPeriod: {RETENTION_SECONDS}
    ReceiveMessageWaitTimeSeconds: 20
    SqsManagedSseEnabled: true
    RedrivePolicy: {{{{ deadLetterTargetArn: !GetAtt {{name}}DeadLetters.Arn, maxReceiveCount: {MAX_RECEIVE_COUNT} }}}}
"""

ALARM = """\
{name}DeadLettersAlarm:
  Type: AWS::CloudWatch::Alarm
  Properties:
    AlarmDescription: "{queue}-dlq is not empty: tickhouse redrive --dlq {queue}-dlq"
    Namespace: AWS/SQS
    MetricName: ApproximateNumberOfMessagesVisible
    Dimensions: [{{ Name: QueueName, Value: !GetAtt {name}DeadLetters.QueueName }}]
    Statistic: Maximum
    Period: 300
    EvaluationPeriods: 1
    Threshold: 0
    ComparisonOperator: GreaterThanThreshold
    TreatMissingData: notBreaching
"""


def _name_of(queue: str) -> str:
    """`klines-notifications` is `Klines` in the template."""
    return queue.removesuffix("-notifications").title().replace("-", "")


def _of_each_queue(template: str, separator: str = "") -> str:
    return separator.join(template.format(name=_name_of(queue), queue=queue) for queue in QUEUES)


def _notifications() -> str:
    return "".join(NOTIFICATION.format(name=_name_of(dataset.queue), prefix=dataset.prefix) for dataset in DATASETS)


def _compacted() -> str:
    return "".join(f'- !Sub "${{Lake.Arn}}/{dataset.prefix}*"\n' for dataset in BY_DAY)


PARTS: dict[str, Callable[[], str]] = {
    "notifications": _notifications,
    "queues": lambda: _of_each_queue(QUEUE, "\n"),
    "references": lambda: _of_each_queue("- !Ref {name}Queue\n"),
    "arns": lambda: _of_each_queue("- !GetAtt {name}Queue.Arn\n"),
    "dead_letters": lambda: _of_each_queue("- !GetAtt {name}DeadLetters.Arn\n"),
    "compacted": _compacted,
    "alarms": lambda: _of_each_queue(ALARM, "\n"),
}


def made(text: str) -> str:
    """The template with its parts as they should be."""
    return PART.sub(lambda part: _part(part.group(1), part.group(2)), text)


def _part(margin: str, name: str) -> str:
    return f"{margin}# make aws: {name}\n{indent(PARTS[name](), margin)}{margin}# made\n"


if __name__ == "__main__":
    TEMPLATE.write_text(made(TEMPLATE.read_text(encoding="utf-8")), encoding="utf-8")
